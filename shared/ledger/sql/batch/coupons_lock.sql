-- Lock the coupons that a batch names by code and those of its locks and orders, in the order of their ids.
SELECT coupon_id::text, code, code_key, campaign_id, status, holder_key::text, used_uses, held_uses, starts_at, ends_at,
    revoked
FROM coupons
WHERE code_key = ANY($1::text[]) OR coupon_id = ANY($2::uuid[])
ORDER BY coupon_id
FOR UPDATE
