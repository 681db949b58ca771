-- Sum up each order's redemptions per coupon: the total of its burns, adjustments, partial returns and restores, how many
-- more burns than restores there are (a recurring coupon may be redeemed without a use), and the number of restores.
-- The last burn and the adjustments after it (of the last round) give the discount before anything was returned.
WITH entries AS (  -- one index per branch
    SELECT * FROM ledger_entries WHERE order_id = ANY($1::text[]) AND kind IN ('burned', 'restored')
    UNION ALL
    SELECT * FROM ledger_entries WHERE order_id = ANY($1::text[]) AND kind = 'returned'
    UNION ALL
    SELECT * FROM ledger_entries WHERE order_id = ANY($1::text[]) AND kind = 'adjusted' AND redemption_id IS NOT NULL
), counted AS (
    SELECT *, max(entry_id) FILTER (WHERE kind = 'burned') OVER (PARTITION BY order_id, coupon_id, campaign_id) AS last_burned
    FROM entries
)
SELECT order_id, coupon_id::text, campaign_id, sum(used_uses)::integer AS uses, sum(used_minor)::bigint AS discount_minor,
       max(currency) FILTER (WHERE entry_id >= last_burned) AS currency,
       (array_agg(coalesce(customers.merged_into, counted.customer_key)::text ORDER BY entry_id DESC) FILTER (WHERE kind = 'burned'))[1] AS customer_key,
       (array_agg(redemption_id::text ORDER BY entry_id DESC))[1] AS redemption_id,
       (array_agg(lines::text ORDER BY entry_id DESC) FILTER (WHERE kind IN ('burned', 'adjusted')))[1] AS lines,
       (sum(used_minor) FILTER (WHERE kind IN ('burned', 'adjusted') AND entry_id >= last_burned))::bigint AS burned_minor,
       (array_agg(coalesce(counted_at, recorded_at) ORDER BY entry_id DESC) FILTER (WHERE kind = 'burned'))[1] AS counted_at,
       (array_agg(subscription_id ORDER BY entry_id DESC) FILTER (WHERE kind = 'burned'))[1] AS subscription_id,
       (count(*) FILTER (WHERE kind = 'burned') - count(*) FILTER (WHERE kind = 'restored'))::integer AS active,
       (count(*) FILTER (WHERE kind = 'restored'))::integer AS rounds
FROM counted LEFT JOIN customers USING (customer_key)
GROUP BY order_id, coupon_id, campaign_id
ORDER BY order_id, min(entry_id)
