-- Whether a coupon of another campaign has the code already.
SELECT EXISTS (SELECT FROM coupons WHERE code_key = $1 AND campaign_id <> $2)
