-- Show the coupon of a code with its campaign and holder, then those that had the code until it was freed, newest first.
SELECT coupons.coupon_id::text, coupons.code, coupons.campaign_id, coupons.status, coupons.uses_limit, coupons.held_uses,
    coupons.used_uses, coupons.starts_at, coupons.ends_at, coupons.issued_at, coupons.occasion,
    campaigns.name AS campaign_name, campaigns.status AS campaign_status,
    campaigns.time_window AS campaign_window, campaigns.campaign_group, coupons.code_key IS NULL AS code_freed,
    ARRAY(
        SELECT kind || ' ' || value FROM customer_identifiers
        WHERE customer_key = coupons.holder_key ORDER BY kind = 'id' DESC, kind, value
    ) AS holder
FROM coupons LEFT JOIN campaign_terms AS campaigns USING (campaign_id)
WHERE coupons.code_key = $1 OR coupons.freed_key = $1
ORDER BY coupons.code_key IS NULL, coupons.issued_at DESC NULLS LAST, coupons.coupon_id
LIMIT $2
