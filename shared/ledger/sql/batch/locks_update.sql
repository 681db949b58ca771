-- Write the new status of existing locks.
UPDATE locks SET status = after.status, customer_key = after.customer_key, order_id = after.order_id, expires_at = after.expires_at
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::timestamptz[]) AS after (lock_reference, status, customer_key, order_id, expires_at)
WHERE locks.lock_reference = after.lock_reference
