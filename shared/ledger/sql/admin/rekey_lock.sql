-- Lock coupons that get another key and those that have one of the new keys, in the order in which batches lock coupons.
SELECT coupons.coupon_id::text, coupons.code, coupons.code_key, coupons.status, coupons.issued_at, campaigns.status AS campaign_status
FROM coupons LEFT JOIN campaigns USING (campaign_id)
WHERE coupons.coupon_id = ANY($1::uuid[]) OR coupons.code_key = ANY($2::text[])
ORDER BY coupons.coupon_id
FOR UPDATE OF coupons
