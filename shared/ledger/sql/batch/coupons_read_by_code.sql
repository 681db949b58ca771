-- Read coupons without locking them: shared codes that are issued, and codes that an external source claims are new.
SELECT coupon_id::text, code, code_key, campaign_id, status, holder_key::text, used_uses, held_uses, starts_at, ends_at,
    revoked
FROM coupons
WHERE code_key = ANY($1::text[])
