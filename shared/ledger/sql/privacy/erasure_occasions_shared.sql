-- Replace occasions that name the customer in those of shared codes.
UPDATE shared_occasions SET occasion = 'erased ' || gen_random_uuid() WHERE occasion = ANY($1::text[])
