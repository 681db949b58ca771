-- Add the single coupon of a campaign with a shared code. The unique index refuses a code that another campaign has. Another id
-- than this one has a coupon whose key was made in another way when the campaign was created.
INSERT INTO coupons (coupon_id, code, code_key, campaign_id, status, uses_limit, issued_at)
SELECT coupon_id, code, code_key, campaign_id, 'active', uses_limit, now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[]) AS wanted (coupon_id, code, code_key, campaign_id, uses_limit)
WHERE NOT EXISTS (
    SELECT FROM coupons
    WHERE coupons.code_key = wanted.code_key AND coupons.campaign_id = wanted.campaign_id
      AND coupons.status <> 'pooled' AND coupons.holder_key IS NULL AND coupons.occasion IS NULL
) AND NOT EXISTS (  -- an older coupon kept its key
    SELECT FROM coupons
    WHERE coupons.freed_key = wanted.code_key AND coupons.campaign_id = wanted.campaign_id AND coupons.key_taken_by IS NOT NULL
)
ON CONFLICT (coupon_id) DO NOTHING
