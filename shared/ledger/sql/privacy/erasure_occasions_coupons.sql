-- Replace occasions that name the customer on coupons of others. The random text keeps occasion and campaign unique.
UPDATE coupons SET occasion = 'erased ' || gen_random_uuid() WHERE occasion = ANY($1::text[])
