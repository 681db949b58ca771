-- Count the customers who redeemed coupons of a campaign, and those who did so on more than one order.
SELECT campaign_id, count(*) AS customers, count(*) FILTER (WHERE orders > 1) AS returning
FROM (
    SELECT campaign_id, customer_key, count(DISTINCT order_id) AS orders
    FROM ledger_entries
    WHERE kind = 'burned' AND order_id IS NOT NULL AND customer_key IS NOT NULL
      AND ($1::text IS NULL OR campaign_id = $1)
      AND ($2::timestamptz IS NULL OR recorded_at >= $2) AND ($3::timestamptz IS NULL OR recorded_at < $3)
      AND ($4::text[] IS NULL OR campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($4)))
    GROUP BY campaign_id, customer_key
) AS each_customer
GROUP BY campaign_id
