-- Occasions (rewards) that coupons were issued for before.
SELECT occasion, campaign_id FROM coupons WHERE occasion = ANY($1::text[])
