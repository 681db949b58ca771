-- The person that an erased one's rows belong to from now on: nobody is named so.
INSERT INTO customers (customer_key) VALUES ($1)
