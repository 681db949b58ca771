-- Add the customer that owns an erased customer's rows from now on. It has no identifier.
INSERT INTO customers (customer_key) VALUES ($1)
