-- The merged persons' locks are those of the one who stays.
UPDATE locks SET customer_key = $1 WHERE customer_key = ANY($2::uuid[])
