-- Add the merged customers' totals to those of the customer that remains. Where the sum exceeds a limit, the limit is
-- raised to the sum, which the CHECK constraint requires; the decision still refuses further uses.
INSERT INTO meters AS meter (campaign_id, customer_key, issued_coupons, held_uses, used_uses, held_minor, used_minor, max_coupons, max_uses)
SELECT campaign_id, $1::uuid, sum(issued_coupons), sum(held_uses), sum(used_uses), sum(held_minor), sum(used_minor),
       greatest(max(max_coupons), CASE WHEN max(max_coupons) IS NOT NULL THEN sum(issued_coupons) END),
       greatest(max(max_uses), CASE WHEN max(max_uses) IS NOT NULL THEN sum(held_uses + used_uses) END)
FROM meters
WHERE customer_key = ANY($2::uuid[] || $1::uuid)
GROUP BY campaign_id
ON CONFLICT (campaign_id, customer_key) DO UPDATE SET
    issued_coupons = excluded.issued_coupons, held_uses = excluded.held_uses, used_uses = excluded.used_uses,
    held_minor = excluded.held_minor, used_minor = excluded.used_minor,
    max_coupons = excluded.max_coupons, max_uses = excluded.max_uses
