-- Find the coupon that has this code.
SELECT coupon_id FROM coupons WHERE code_key = $1
