-- Compare the held uses of coupons with what open locks hold.
WITH holding AS (
    SELECT coupon_id, sum(uses) AS uses FROM lock_uses JOIN locks USING (lock_reference) WHERE status = 'open' GROUP BY coupon_id
)
SELECT 'coupon ' || coupons.coupon_id AS what, coalesce(holding.uses, 0)::text AS expected, coupons.held_uses::text AS found
FROM coupons LEFT JOIN holding USING (coupon_id)
WHERE coupons.held_uses <> coalesce(holding.uses, 0)
LIMIT $1
