-- Add the customer that a split makes, if none of the merged ones comes back.
INSERT INTO customers (customer_key) VALUES ($1)
