-- Find occasions (rewards) that already have a coupon: on the coupon, or in a table of their own for shared codes.
SELECT occasion, campaign_id FROM coupons WHERE occasion = ANY($1::text[])
UNION ALL
SELECT occasion, campaign_id FROM shared_occasions WHERE occasion = ANY($1::text[])
