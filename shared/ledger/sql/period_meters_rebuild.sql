-- Periods reckoned anew from the transfers, by the caps and the clock as they are now (named as `periods.period_of` names them).
-- A cap lower than what has happened gives way to what has happened; the decision refuses anything further.
WITH cap AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::integer[], $6::integer[])
        AS cap (campaign_id, zone, per, customers, max_coupons, max_uses)
), old_hold AS (
    -- Entries from before they had a time to count by: what was held counts when it was held, also where it is taken out; what
    -- was used counts when it was burned, also where it is given back.
    SELECT coupon_id, lock_reference, max(recorded_at) AS held_at
    FROM transfers
    WHERE counted_at IS NULL AND kind = 'locked' AND campaign_id IN (SELECT campaign_id FROM cap)
    GROUP BY coupon_id, lock_reference
), change AS (
    SELECT transfers.campaign_id, max_coupons, max_uses,
           CASE WHEN customers THEN coalesce(customer.merged_into, transfers.customer_key)
                ELSE '00000000-0000-0000-0000-000000000000' END AS customer_key,
           per || ' ' || to_char(date_trunc(per, greatest(part.counts_at AT TIME ZONE zone, '0001-01-01')), 'YYYY-MM-DD') AS period,
           part.issued_coupons, part.held_uses, part.used_uses
    FROM transfers
    JOIN cap ON cap.campaign_id = transfers.campaign_id
    LEFT JOIN customers AS customer ON customer.customer_key = transfers.customer_key
    LEFT JOIN old_hold ON transfers.counted_at IS NULL AND transfers.held_uses <> 0
                      AND (old_hold.coupon_id, old_hold.lock_reference) = (transfers.coupon_id, transfers.lock_reference)
    LEFT JOIN transfers AS burned ON transfers.counted_at IS NULL AND transfers.kind = 'restored' AND burned.kind = 'burned'
                      AND (burned.order_id, burned.coupon_id, burned.round) = (transfers.order_id, transfers.coupon_id, transfers.round)
    CROSS JOIN LATERAL (VALUES
        (coalesce(transfers.counted_at, burned.recorded_at, transfers.recorded_at), (transfers.kind = 'issued')::integer, 0, transfers.used_uses),
        (coalesce(transfers.counted_at, held_at, transfers.recorded_at), 0, transfers.held_uses, 0)
    ) AS part (counts_at, issued_coupons, held_uses, used_uses)
    WHERE (part.issued_coupons, part.held_uses, part.used_uses) <> (0, 0, 0)
)
INSERT INTO period_meters (campaign_id, customer_key, period, issued_coupons, held_uses, used_uses, max_coupons, max_uses)
SELECT campaign_id, customer_key, period, sum(issued_coupons), sum(held_uses), sum(used_uses),
       greatest(max_coupons, CASE WHEN max_coupons IS NOT NULL THEN sum(issued_coupons) END),
       greatest(max_uses, CASE WHEN max_uses IS NOT NULL THEN sum(held_uses + used_uses) END)
FROM change
WHERE customer_key IS NOT NULL
GROUP BY campaign_id, customer_key, period, max_coupons, max_uses
