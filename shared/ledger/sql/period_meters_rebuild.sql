-- Periods reckoned anew from the transfers, by the caps and the clock as they are now (named as `periods.period_of` names them).
-- A cap lower than what has happened gives way to what has happened; the decision refuses anything further.
WITH cap AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::integer[], $6::integer[])
        AS cap (campaign_id, zone, per, customers, max_coupons, max_uses)
), change AS (
    SELECT transfers.campaign_id, max_coupons, max_uses,
           CASE WHEN customers THEN coalesce(customer.merged_into, transfers.customer_key)
                ELSE '00000000-0000-0000-0000-000000000000' END AS customer_key,
           per || ' ' || to_char(
               date_trunc(per, greatest(coalesce(counted_at, recorded_at) AT TIME ZONE zone, '0001-01-01')), 'YYYY-MM-DD') AS period,
           (kind = 'issued')::integer AS issued_coupons, held_uses, used_uses
    FROM transfers
    JOIN cap USING (campaign_id)
    LEFT JOIN customers AS customer USING (customer_key)
    WHERE kind = 'issued' OR held_uses <> 0 OR used_uses <> 0
)
INSERT INTO period_meters (campaign_id, customer_key, period, issued_coupons, held_uses, used_uses, max_coupons, max_uses)
SELECT campaign_id, customer_key, period, sum(issued_coupons), sum(held_uses), sum(used_uses),
       greatest(max_coupons, CASE WHEN max_coupons IS NOT NULL THEN sum(issued_coupons) END),
       greatest(max_uses, CASE WHEN max_uses IS NOT NULL THEN sum(held_uses + used_uses) END)
FROM change
WHERE customer_key IS NOT NULL
GROUP BY campaign_id, customer_key, period, max_coupons, max_uses
