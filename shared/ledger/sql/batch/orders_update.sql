-- Write the new state of orders that existed before, or that had an event before they were placed.
UPDATE orders SET
    status = change.status, customer_key = change.customer_key, placed_at = change.placed_at, paid_at = change.paid_at,
    cancelled_at = change.cancelled_at, returned_at = change.returned_at, currency = change.currency,
    amount_minor = change.amount_minor, customer = change.customer, requested_count = change.requested_count,
    lines = change.lines, returns = change.returns
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
            $8::text[], $9::bigint[], $10::json[], $11::integer[], $12::jsonb[], $13::jsonb[])
    AS change (order_id, status, customer_key, placed_at, paid_at, cancelled_at, returned_at, currency, amount_minor, customer, requested_count,
               lines, returns)
WHERE orders.order_id = change.order_id
