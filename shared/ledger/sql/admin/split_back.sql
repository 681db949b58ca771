-- Return those of the given customers that were merged into the customer, oldest first; the first one comes back.
SELECT customer_key::text FROM customers
WHERE merged_into = $1 AND customer_key = ANY($2::uuid[])
ORDER BY created_at, customer_key
FOR UPDATE
