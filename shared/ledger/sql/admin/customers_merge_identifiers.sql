-- Move the merged customers' identifiers to the customer that remains.
UPDATE customer_identifiers SET customer_key = $1 WHERE customer_key = ANY($2::uuid[])
