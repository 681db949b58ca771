-- Read a page of a customer's orders.
SELECT order_id, to_json(orders)::text AS row FROM orders
WHERE customer_key = ANY($1::uuid[]) AND order_id > $3
ORDER BY order_id
LIMIT $2
