-- Insert new orders, which locks them: a second process waits here and then finds them.
INSERT INTO orders (order_id, status, customer_key, placed_at, paid_at, cancelled_at, returned_at, currency, amount_minor, lines, details)
SELECT order_id, status, customer_key, placed_at, paid_at, cancelled_at, returned_at, currency, amount_minor, lines, details
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::text[], $9::bigint[],
            $10::jsonb[], $11::jsonb[])
    AS fresh (order_id, status, customer_key, placed_at, paid_at, cancelled_at, returned_at, currency, amount_minor, lines, details)
ORDER BY order_id
ON CONFLICT (order_id) DO NOTHING
RETURNING order_id
