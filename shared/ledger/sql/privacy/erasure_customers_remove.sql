-- Delete the customer's own keys, to which nothing refers any more.
DELETE FROM customers WHERE customer_key = ANY($1::uuid[])
