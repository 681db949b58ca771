-- List a page of usable coupons of campaigns that name the product, sorted by code. Paged by offset, as the vendor's
-- clients send one.
SELECT coupon.code, coupon.uses_limit, coupon.used_uses, campaign.definition::text AS definition
FROM campaigns AS campaign JOIN coupons AS coupon USING (campaign_id)
WHERE campaign.definition->'applies_to'->'product_ids' ? $1 AND campaign.status <> 'archived'
  AND coupon.status = 'active' AND ($4::text[] IS NULL OR campaign.definition ->> 'group' = ANY ($4))
ORDER BY coupon.code_key
LIMIT $2 OFFSET $3
