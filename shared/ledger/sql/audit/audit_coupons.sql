-- Compare a coupon's own meter with the sum of its ledger entries.
WITH summed AS (
    SELECT coupon_id, sum(held_uses) AS held_uses, sum(used_uses) AS used_uses FROM ledger_entries GROUP BY coupon_id
)
SELECT 'coupon ' || coupons.coupon_id AS what,
       format('held %s, used %s', coalesce(summed.held_uses, 0), coalesce(summed.used_uses, 0)) AS expected,
       format('held %s, used %s', coupons.held_uses, coupons.used_uses) AS found
FROM coupons LEFT JOIN summed USING (coupon_id)
WHERE (coupons.held_uses, coupons.used_uses) <> (coalesce(summed.held_uses, 0), coalesce(summed.used_uses, 0))
LIMIT $1
