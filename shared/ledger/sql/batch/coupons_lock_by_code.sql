-- Lock the coupons that orders name, in the order of their ids. This is the hot look-up.
SELECT coupon_id::text, code, code_key, campaign_id, status, holder_key::text, used_uses, held_uses, starts_at, ends_at,
    revoked
FROM coupons
WHERE code_key = ANY($1::text[])
ORDER BY coupon_id
FOR UPDATE
