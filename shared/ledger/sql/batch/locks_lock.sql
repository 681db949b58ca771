-- Lock the locks that the batch names, and open ones of orders that it ends, in sorted order.
SELECT lock_reference, status, customer_key::text, order_id, expires_at, lost::text
FROM locks
WHERE lock_reference = ANY($1::text[]) OR (order_id = ANY($2::text[]) AND status = 'open')
ORDER BY lock_reference
FOR UPDATE
