-- Find a page of coupons whose keys an earlier version may have made in another way.
SELECT coupon_id::text, code, code_key FROM coupons
WHERE code_key COLLATE "C" ~ '[^!-~]' AND coupon_id > $1::uuid
ORDER BY coupon_id
LIMIT $2
