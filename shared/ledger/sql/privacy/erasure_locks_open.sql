-- Move open locks of the customer to the pseudonym. They are burned or released on its meters.
UPDATE locks SET customer_key = $1 WHERE customer_key = ANY($2::uuid[]) AND status = 'open'
