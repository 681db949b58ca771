-- Read a page of the coupons that a customer holds.
SELECT coupon_id::text, to_json(coupons)::text AS row FROM coupons
WHERE holder_key = ANY($1::uuid[]) AND coupon_id > $3
ORDER BY coupon_id
LIMIT $2
