-- Nothing refers to the person's own keys any more.
DELETE FROM customers WHERE customer_key = ANY($1::uuid[])
