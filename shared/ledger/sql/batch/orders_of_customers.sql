-- Orders of these customers that stand, a few of each: one more than the batch has orders tells whether there is another.
-- Those that the batch itself inserted count as it decides them, not before. The least ids, so that a refusal names the same
-- order however large its batch is.
SELECT wanted.customer_key::text, standing.order_id
FROM unnest($1::uuid[]) AS wanted (customer_key)
CROSS JOIN LATERAL (
    SELECT order_id FROM orders
    WHERE orders.customer_key = wanted.customer_key AND status IN ('placed', 'paid') AND order_id <> ALL($3::text[])
    ORDER BY order_id COLLATE "C"
    LIMIT $2
) AS standing
