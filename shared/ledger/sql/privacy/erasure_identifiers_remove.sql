-- Delete the customer's identifiers. An event with one of them is from a new customer from now on.
DELETE FROM customer_identifiers WHERE customer_key = ANY($1::uuid[])
