-- Lock the batch's customers whose segments or first orders are needed, in sorted order. Of two concurrent first orders
-- the second waits here and then sees the first.
SELECT customer_key::text, segments
FROM customers
WHERE customer_key = ANY($1::uuid[])
ORDER BY customer_key
FOR UPDATE
