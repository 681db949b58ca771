-- Insert locks with new references. If another process opened one at the same time, the key breaks and the batch runs
-- again.
INSERT INTO locks (lock_reference, status, customer_key, order_id, expires_at, lost)
SELECT lock_reference, status, customer_key, order_id, expires_at, lost
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::timestamptz[], $6::jsonb[])
    AS opened (lock_reference, status, customer_key, order_id, expires_at, lost)
ORDER BY lock_reference
