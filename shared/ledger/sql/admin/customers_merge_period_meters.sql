-- Add the merged customers' totals of periods to those of the customer that remains; a lower cap is raised to the sum.
INSERT INTO period_meters AS meter (campaign_id, customer_key, period, issued_coupons, held_uses, used_uses, max_coupons, max_uses)
SELECT campaign_id, $1::uuid, period, sum(issued_coupons), sum(held_uses), sum(used_uses),
       greatest(max(max_coupons), CASE WHEN max(max_coupons) IS NOT NULL THEN sum(issued_coupons) END),
       greatest(max(max_uses), CASE WHEN max(max_uses) IS NOT NULL THEN sum(held_uses + used_uses) END)
FROM period_meters
WHERE customer_key = ANY($2::uuid[] || $1::uuid)
GROUP BY campaign_id, period
ON CONFLICT (campaign_id, customer_key, period) DO UPDATE SET
    issued_coupons = excluded.issued_coupons, held_uses = excluded.held_uses, used_uses = excluded.used_uses,
    max_coupons = excluded.max_coupons, max_uses = excluded.max_uses
