-- Open locks of the person: they become the pseudonym's, and are burned or released on its meters.
UPDATE locks SET customer_key = $1 WHERE customer_key = ANY($2::uuid[]) AND status = 'open'
