-- How many coupons of these campaigns are in use.
SELECT count(*) FROM coupons WHERE campaign_id = ANY ($1::text[]) AND status = 'active'
