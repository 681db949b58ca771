-- Move the merged customers' locks to the customer that remains.
UPDATE locks SET customer_key = $1 WHERE customer_key = ANY($2::uuid[])
