-- Return every key that a customer has had: their own, and those that were merged into it.
SELECT customer_key::text FROM customers WHERE customer_key = $1 OR merged_into = $1
