-- List a page of coupons with their campaigns. Paged by number, as the vendor's clients send one.
SELECT coupons.coupon_id::text, coupons.code, coupons.campaign_id, campaigns.definition ->> 'name' AS campaign_name,
    campaigns.status AS campaign_status, campaigns.definition ->> 'window' AS campaign_window, coupons.status,
    coupons.uses_limit, coupons.held_uses, coupons.used_uses, coupons.starts_at, coupons.ends_at, coupons.issued_at,
    clock_timestamp() AS now, campaigns.definition::text AS definition, coupons.holder_key::text AS holder_key
FROM coupons JOIN campaigns USING (campaign_id)
WHERE ($1::text IS NULL OR coupons.campaign_id = $1) AND ($4::text[] IS NULL OR campaigns.definition ->> 'group' = ANY ($4))
ORDER BY coupons.coupon_id
LIMIT $2 OFFSET $3
