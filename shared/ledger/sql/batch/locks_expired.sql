-- Locks whose time is over and that nobody tidied up yet. Skip those that another batch is at, and those ($3) that can't be expired.
SELECT lock_reference, status, customer_key::text, order_id, expires_at
FROM locks
WHERE status = 'open' AND expires_at <= $1 AND lock_reference <> ALL($3::text[])
ORDER BY expires_at
LIMIT $2
FOR UPDATE SKIP LOCKED
