-- Return a customer's keys, the time since when they are known, and their segments.
SELECT array_agg(customer_key::text ORDER BY merged_into IS NOT NULL, customer_key) AS customer_keys, min(created_at) AS known_since,
    (SELECT segments FROM customers WHERE customer_key = $1) AS segments
FROM customers WHERE customer_key = $1 OR merged_into = $1
