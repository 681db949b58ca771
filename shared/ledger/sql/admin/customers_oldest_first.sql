-- Those of the given persons that nobody has merged away yet; the first one is who stays.
SELECT customer_key::text FROM customers
WHERE customer_key = ANY($1::uuid[]) AND merged_into IS NULL
ORDER BY created_at, customer_key
FOR UPDATE
