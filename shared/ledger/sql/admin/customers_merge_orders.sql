-- The merged persons' orders are those of the one who stays.
UPDATE orders SET customer_key = $1 WHERE customer_key = ANY($2::uuid[])
