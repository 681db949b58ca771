-- Write the new status of existing locks.
UPDATE locks SET status = after.status, customer_key = after.customer_key, order_id = after.order_id, expires_at = after.expires_at,
    lost = after.lost
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::timestamptz[], $6::jsonb[])
    AS after (lock_reference, status, customer_key, order_id, expires_at, lost)
WHERE locks.lock_reference = after.lock_reference
