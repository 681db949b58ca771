-- Find a coupon by its code or id, with its campaign, to build a voucher.
SELECT coupons.coupon_id::text, coupons.code, coupons.campaign_id, campaigns.definition ->> 'name' AS campaign_name,
    campaigns.status AS campaign_status, campaigns.definition ->> 'window' AS campaign_window, coupons.status,
    coupons.uses_limit, coupons.held_uses, coupons.used_uses, coupons.starts_at, coupons.ends_at, coupons.issued_at,
    clock_timestamp() AS now, campaigns.definition::text AS definition, coupons.holder_key::text AS holder_key
FROM coupons JOIN campaigns USING (campaign_id)
WHERE (coupons.code_key = $1 OR coupons.coupon_id = $2::uuid) AND ($3::text[] IS NULL OR campaigns.definition ->> 'group' = ANY ($3))
ORDER BY coupons.code_key = $1 DESC
LIMIT 1
