-- Compute totals of periods from the ledger entries again, by the current caps and time zone (named as in
-- `periods.PERIODS`). A cap below what is already used or held is stored as that total; the decision refuses further
-- uses. With $7 only the totals of these customers.
WITH cap AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::integer[], $6::integer[])
        AS cap (campaign_id, zone, per, customers, max_coupons, max_uses)
), old_hold AS (
    -- Entries older than the column counted_at: a held use counts at the time it was locked, even when it is released;
    -- a used one counts at the time it was burned, even when it is restored.
    SELECT coupon_id, lock_reference, max(recorded_at) AS held_at
    FROM ledger_entries
    WHERE counted_at IS NULL AND kind = 'locked' AND campaign_id IN (SELECT campaign_id FROM cap)
    GROUP BY coupon_id, lock_reference
), change AS (
    SELECT ledger_entries.campaign_id, max_coupons, max_uses,
           CASE WHEN customers THEN coalesce(customer.merged_into, ledger_entries.customer_key)
                ELSE '00000000-0000-0000-0000-000000000000' END AS customer_key,
           CASE per WHEN 'coupon' THEN 'coupon ' || ledger_entries.coupon_id
                ELSE per || ' ' || to_char(date_trunc(per, greatest(part.counts_at AT TIME ZONE zone, '0001-01-01')), 'YYYY-MM-DD') END AS period,
           part.issued_coupons, part.held_uses, part.used_uses
    FROM ledger_entries
    JOIN cap ON cap.campaign_id = ledger_entries.campaign_id
    LEFT JOIN customers AS customer ON customer.customer_key = ledger_entries.customer_key
    LEFT JOIN old_hold ON ledger_entries.counted_at IS NULL AND ledger_entries.held_uses <> 0
                      AND (old_hold.coupon_id, old_hold.lock_reference) = (ledger_entries.coupon_id, ledger_entries.lock_reference)
    LEFT JOIN ledger_entries AS burned ON ledger_entries.counted_at IS NULL AND ledger_entries.kind = 'restored' AND burned.kind = 'burned'
                      AND (burned.order_id, burned.coupon_id, burned.round) = (ledger_entries.order_id, ledger_entries.coupon_id, ledger_entries.round)
    CROSS JOIN LATERAL (VALUES
        (coalesce(ledger_entries.counted_at, burned.recorded_at, ledger_entries.recorded_at), (ledger_entries.kind = 'issued' AND per <> 'coupon')::integer, 0, ledger_entries.used_uses),
        (coalesce(ledger_entries.counted_at, held_at, ledger_entries.recorded_at), 0, ledger_entries.held_uses, 0)
    ) AS part (counts_at, issued_coupons, held_uses, used_uses)
    WHERE (part.issued_coupons, part.held_uses, part.used_uses) <> (0, 0, 0)
      AND ($7::uuid[] IS NULL OR ledger_entries.customer_key = ANY($7))
)
INSERT INTO period_meters (campaign_id, customer_key, period, issued_coupons, held_uses, used_uses, max_coupons, max_uses)
SELECT campaign_id, customer_key, period, sum(issued_coupons), sum(held_uses), sum(used_uses),
       greatest(max_coupons, CASE WHEN max_coupons IS NOT NULL THEN sum(issued_coupons) END),
       greatest(max_uses, CASE WHEN max_uses IS NOT NULL THEN sum(held_uses + used_uses) END)
FROM change
WHERE customer_key IS NOT NULL
GROUP BY campaign_id, customer_key, period, max_coupons, max_uses
