-- Lock open locks whose time is over. Skip those that another batch has locked, and those ($3) that can't be expired.
SELECT lock_reference, status, customer_key::text, order_id, expires_at, lost::text
FROM locks
WHERE status = 'open' AND expires_at <= $1 AND lock_reference <> ALL($3::text[])
ORDER BY expires_at
LIMIT $2
FOR UPDATE SKIP LOCKED
