-- List the coupons that a customer holds, by their own ends, latest first. Their campaigns' ends are applied later.
SELECT coupons.coupon_id::text, coupons.code, coupons.campaign_id, campaigns.name AS campaign_name,
    campaigns.status AS campaign_status, campaigns.time_window AS campaign_window, coupons.status, coupons.uses_limit, coupons.held_uses, coupons.used_uses,
    coupons.starts_at, coupons.ends_at, coupons.issued_at, clock_timestamp() AS now
FROM coupons LEFT JOIN campaign_terms AS campaigns USING (campaign_id)
WHERE coupons.holder_key = $1::uuid AND ($3::text[] IS NULL OR campaigns.campaign_group = ANY ($3))
ORDER BY coupons.ends_at DESC NULLS FIRST, coupons.coupon_id
LIMIT $2
