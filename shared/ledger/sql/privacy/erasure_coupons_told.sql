-- Coupons that readers know the person by; so many at most.
SELECT coupon_id::text FROM coupons WHERE holder_key = $1 ORDER BY coupon_id LIMIT $2
