-- Find a coupon by its code, with the number of active coupons of its campaign, counted up to two.
SELECT coupon.campaign_id, coupon.status, coupon.used_uses, coupon.held_uses,
    (
        SELECT count(*) FROM (
            SELECT FROM coupons AS other
            WHERE other.campaign_id = coupon.campaign_id AND other.status = 'active' LIMIT 2
        ) AS others
    ) AS coupons
FROM coupons AS coupon
WHERE coupon.code_key = $1
  AND ($2::text[] IS NULL OR coupon.campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($2)))
