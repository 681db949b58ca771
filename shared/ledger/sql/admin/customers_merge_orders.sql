-- Move the merged customers' orders to the customer that remains.
UPDATE orders SET customer_key = $1 WHERE customer_key = ANY($2::uuid[])
