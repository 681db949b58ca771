-- Locks whose time is over and that nobody tidied up yet. Whoever is at one already deals with it: skip.
SELECT lock_reference, status, customer_key::text, order_id, expires_at
FROM locks
WHERE status = 'open' AND expires_at <= $1
ORDER BY expires_at
LIMIT $2
FOR UPDATE SKIP LOCKED
