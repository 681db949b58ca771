-- How many coupons there are, of a campaign or of all.
SELECT count(*) FROM coupons WHERE $1::text IS NULL OR campaign_id = $1
