-- Occasions (rewards) that coupons were issued for before: on the coupon, or apart where everybody is given the same one.
SELECT occasion, campaign_id FROM coupons WHERE occasion = ANY($1::text[])
UNION ALL
SELECT occasion, campaign_id FROM shared_occasions WHERE occasion = ANY($1::text[])
