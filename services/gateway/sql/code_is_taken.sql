-- Check whether a coupon of another campaign already has the code.
SELECT EXISTS (SELECT FROM coupons WHERE code_key = $1 AND campaign_id <> $2)
