-- Find ledger entries of campaigns whose limits need a meter that doesn't exist.
WITH needed AS (
    SELECT campaign_id,
           coalesce(definition #>> '{limits,uses_total}', definition #>> '{limits,coupons_total}',
                    definition #>> '{limits,spend_total}') IS NOT NULL AS whole,
           coalesce(definition #>> '{limits,uses_per_customer}', definition #>> '{limits,coupons_per_customer}') IS NOT NULL AS customers
    FROM campaigns
), moved AS (
    SELECT DISTINCT campaign_id, coalesce(customers.merged_into, ledger_entries.customer_key) AS customer_key
    FROM ledger_entries LEFT JOIN customers USING (customer_key)
), wanted AS (
    SELECT DISTINCT campaign_id, '00000000-0000-0000-0000-000000000000'::uuid AS customer_key
    FROM moved JOIN needed USING (campaign_id) WHERE whole
    UNION ALL
    SELECT campaign_id, customer_key FROM moved JOIN needed USING (campaign_id) WHERE customers AND customer_key IS NOT NULL
)
SELECT format('meter of campaign %s, customer %s', campaign_id, customer_key) AS what, 'a meter' AS expected, 'none' AS found
FROM wanted LEFT JOIN meters USING (campaign_id, customer_key)
WHERE meters.campaign_id IS NULL
LIMIT $1
