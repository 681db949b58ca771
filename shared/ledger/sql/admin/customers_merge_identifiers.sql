-- What named the merged persons names the one who stays.
UPDATE customer_identifiers SET customer_key = $1 WHERE customer_key = ANY($2::uuid[])
