-- Replace occasions that name the customer in those of revoked rewards.
UPDATE revoked_rewards SET occasion = 'erased ' || gen_random_uuid() WHERE occasion = ANY($1::text[])
