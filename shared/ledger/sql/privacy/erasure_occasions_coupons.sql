-- Occasions that name the person, of coupons that others hold. The random text keeps the pair of occasion and campaign unique.
UPDATE coupons SET occasion = 'erased ' || gen_random_uuid() WHERE occasion = ANY($1::text[])
