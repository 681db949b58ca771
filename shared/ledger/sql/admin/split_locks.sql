-- Give back the locks that the customers that come back had.
UPDATE locks SET customer_key = $1 WHERE customer_key = $2 AND lock_reference = ANY($3::text[])
