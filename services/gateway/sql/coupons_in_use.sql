-- Count the usable coupons of these campaigns.
SELECT count(*) FROM coupons WHERE campaign_id = ANY ($1::text[]) AND status = 'active'
