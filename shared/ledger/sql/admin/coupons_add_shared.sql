-- Add the single coupon of a campaign with a shared code. The unique index refuses a code that another campaign has.
INSERT INTO coupons (coupon_id, code, code_key, campaign_id, status, uses_limit, issued_at)
SELECT coupon_id, code, code_key, campaign_id, 'active', uses_limit, now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[]) AS wanted (coupon_id, code, code_key, campaign_id, uses_limit)
ON CONFLICT (coupon_id) DO NOTHING
