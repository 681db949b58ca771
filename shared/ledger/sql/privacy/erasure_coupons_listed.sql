-- Return the coupons of the customer that the erasure event lists, up to a limit.
SELECT coupon_id::text FROM coupons WHERE holder_key = $1 ORDER BY coupon_id LIMIT $2
