-- Show a coupon with its campaign and holder, for people who look up a code.
SELECT coupons.coupon_id::text, coupons.code, coupons.campaign_id, coupons.status, coupons.uses_limit, coupons.held_uses,
    coupons.used_uses, coupons.starts_at, coupons.ends_at, coupons.issued_at, coupons.occasion,
    campaigns.name AS campaign_name, campaigns.status AS campaign_status,
    campaigns.time_window AS campaign_window, campaigns.campaign_group,
    ARRAY(
        SELECT kind || ' ' || value FROM customer_identifiers
        WHERE customer_key = coupons.holder_key ORDER BY kind = 'id' DESC, kind, value
    ) AS holder
FROM coupons LEFT JOIN campaign_terms AS campaigns USING (campaign_id)
WHERE coupons.code_key = $1
