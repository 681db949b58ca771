-- The customers of a batch whose segments or first orders are asked for, locked in sorted order: of two first orders at once
-- the second waits here, and then sees the first.
SELECT customer_key::text, segments
FROM customers
WHERE customer_key = ANY($1::uuid[])
ORDER BY customer_key
FOR UPDATE
