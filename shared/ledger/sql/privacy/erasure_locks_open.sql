-- What the person holds is the pseudonym's: it is burned or released on the pseudonym's meters.
UPDATE locks SET customer_key = $1 WHERE customer_key = ANY($2::uuid[]) AND status = 'open'
