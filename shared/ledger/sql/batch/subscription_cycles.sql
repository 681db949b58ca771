-- Find the orders of subscriptions that have redeemed a coupon with cycles, or hold it until payment, and whether they cost
-- something. At most 1,000 of each coupon and subscription, which no campaign exceeds.
WITH found AS (
    SELECT subscription_id, coupon_id, order_id
    FROM ledger_entries
    WHERE subscription_id = ANY($1::text[]) AND campaign_id = ANY($2::text[]) AND order_id IS NOT NULL
    GROUP BY subscription_id, coupon_id, order_id
    HAVING count(*) FILTER (WHERE kind = 'burned') > count(*) FILTER (WHERE kind = 'restored')
    UNION
    SELECT subscription_id, coupon_id, order_id
    FROM lock_uses JOIN locks USING (lock_reference)
    WHERE subscription_id = ANY($1::text[]) AND campaign_id = ANY($2::text[]) AND status = 'open' AND expires_at > $3
      AND order_id IS NOT NULL
), priced AS (
    SELECT found.*, coalesce(amount_minor, 1) + coalesce((details ->> 1)::bigint, 0) > 0 AS costs_something
    FROM found LEFT JOIN orders USING (order_id)
), numbered AS (
    SELECT *, row_number() OVER (PARTITION BY subscription_id, coupon_id ORDER BY costs_something DESC, order_id) AS number
    FROM priced
)
SELECT subscription_id, coupon_id::text, order_id, costs_something FROM numbered WHERE number <= 1000
