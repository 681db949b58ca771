-- Find the coupon that has this code, and those of earlier campaigns that had it until it was freed.
SELECT coupon_id FROM coupons WHERE code_key = $1 OR freed_key = $1
