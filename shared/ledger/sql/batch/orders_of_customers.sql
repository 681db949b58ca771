-- Return a few open orders of each customer: one more than the batch has orders shows whether there is another.
-- Orders that the batch itself inserted count when they are decided, not before. An unpaid order that no longer holds its
-- coupons doesn't count; up to 20 of these are skipped. Ordered by id, so that a refusal names the same order whatever
-- the size of the batch.
SELECT wanted.customer_key::text, open_orders.order_id
FROM unnest($1::uuid[]) AS wanted (customer_key)
CROSS JOIN LATERAL (
    SELECT order_id, status FROM orders
    WHERE orders.customer_key = wanted.customer_key AND status IN ('placed', 'paid') AND order_id <> ALL($3::text[])
    ORDER BY order_id COLLATE "C"
    LIMIT $2 + 20
) AS open_orders
WHERE open_orders.status = 'paid' OR (
    SELECT locks.status IN ('expired', 'released') OR (locks.status = 'open' AND expires_at <= $4)
    FROM locks WHERE lock_reference = 'order:' || open_orders.order_id
) IS NOT TRUE
