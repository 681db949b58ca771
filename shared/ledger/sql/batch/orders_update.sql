-- Write the new state of orders that existed before, or that had an event before they were placed.
UPDATE orders SET
    status = change.status, customer_key = change.customer_key, placed_at = change.placed_at, paid_at = change.paid_at,
    cancelled_at = change.cancelled_at, returned_at = change.returned_at, changed_at = change.changed_at,
    first_placed_at = change.first_placed_at, customer = change.customer, requested_count = change.requested_count,
    returns = change.returns, currency = change.currency, amount_minor = change.amount_minor, lines = change.lines, details = change.details
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[],
            $9::timestamptz[], $10::json[], $11::integer[], $12::jsonb[], $13::text[], $14::bigint[], $15::jsonb[], $16::jsonb[])
    AS change (order_id, status, customer_key, placed_at, paid_at, cancelled_at, returned_at, changed_at, first_placed_at, customer,
               requested_count, returns, currency, amount_minor, lines, details)
WHERE orders.order_id = change.order_id
