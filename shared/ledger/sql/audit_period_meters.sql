-- Every period's running total against the sum of the transfers that count in it, by the campaign's clock; where one of the two is
-- missing it counts as nothing.
WITH cap AS (
    SELECT campaign_id, coalesce(definition #>> '{window,time_zone}', 'UTC') AS zone, cap ->> 'per' AS per, cap ->> 'each' = 'customer' AS customers
    FROM campaigns, jsonb_array_elements(definition #> '{limits,caps}') AS cap
), change AS (
    SELECT transfers.campaign_id,
           CASE WHEN customers THEN coalesce(customer.merged_into, transfers.customer_key)
                ELSE '00000000-0000-0000-0000-000000000000' END AS customer_key,
           per || ' ' || to_char(
               date_trunc(per, greatest(coalesce(counted_at, recorded_at) AT TIME ZONE zone, '0001-01-01')), 'YYYY-MM-DD') AS period,
           (kind = 'issued')::integer AS issued_coupons, held_uses, used_uses
    FROM transfers
    JOIN cap USING (campaign_id)
    LEFT JOIN customers AS customer USING (customer_key)
    WHERE kind = 'issued' OR held_uses <> 0 OR used_uses <> 0
), summed AS (
    SELECT campaign_id, customer_key, period, sum(issued_coupons) AS issued_coupons, sum(held_uses) AS held_uses, sum(used_uses) AS used_uses
    FROM change
    WHERE customer_key IS NOT NULL
    GROUP BY campaign_id, customer_key, period
)
SELECT format('meter of campaign %s, customer %s, %s', campaign_id, customer_key, period) AS what,
       format('issued %s, held %s, used %s', coalesce(summed.issued_coupons, 0), coalesce(summed.held_uses, 0), coalesce(summed.used_uses, 0)) AS expected,
       format('issued %s, held %s, used %s', meter.issued_coupons, meter.held_uses, meter.used_uses) AS found
FROM period_meters AS meter FULL JOIN summed USING (campaign_id, customer_key, period)
WHERE (coalesce(meter.issued_coupons, 0), coalesce(meter.held_uses, 0), coalesce(meter.used_uses, 0))
   <> (coalesce(summed.issued_coupons, 0), coalesce(summed.held_uses, 0), coalesce(summed.used_uses, 0))
LIMIT $1
