-- Return those of the given customers that aren't merged yet, oldest first; the first one remains.
SELECT customer_key::text FROM customers
WHERE customer_key = ANY($1::uuid[]) AND merged_into IS NULL
ORDER BY created_at, customer_key
FOR UPDATE
