-- Add codes to a pool; leave out codes that exist already, in any campaign.
INSERT INTO coupons (coupon_id, code, code_key, campaign_id, status)
SELECT coupon_id, code, code_key, $1, 'pooled' FROM unnest($2::uuid[], $3::text[], $4::text[]) AS pooled (coupon_id, code, code_key)
ORDER BY code_key
ON CONFLICT DO NOTHING
RETURNING code_key
