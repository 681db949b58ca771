-- Find the order of a redemption by the id in the response.
SELECT order_id FROM ledger_entries
WHERE redemption_id = $1::uuid AND kind = 'burned' AND order_id IS NOT NULL
  AND ($2::text[] IS NULL OR campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($2)))
LIMIT 1
