-- Read a page of coupons by id, with the columns that their state follows from. A null filter selects everything.
SELECT coupons.coupon_id::text, coupons.code, coupons.campaign_id, campaigns.definition ->> 'name' AS campaign_name,
    campaigns.status AS campaign_status, campaigns.definition ->> 'window' AS campaign_window, coupons.status,
    coupons.uses_limit, coupons.held_uses, coupons.used_uses, coupons.starts_at, coupons.ends_at, coupons.issued_at,
    clock_timestamp() AS now
FROM coupons LEFT JOIN campaigns USING (campaign_id)
WHERE ($1::text IS NULL OR coupons.campaign_id = $1)
  AND ($2::uuid IS NULL OR coupons.holder_key = $2)
  AND ($3::text IS NULL OR coupons.campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = $3))
  AND ($6::text[] IS NULL OR coupons.campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($6)))
  AND ($4::uuid IS NULL OR coupons.coupon_id > $4)
ORDER BY coupons.coupon_id
LIMIT $5
