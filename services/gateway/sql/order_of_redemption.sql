-- The order of a redemption that was told under this id.
SELECT order_id FROM ledger_entries
WHERE redemption_id = $1::uuid AND kind = 'burned' AND order_id IS NOT NULL
  AND ($2::text[] IS NULL OR campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($2)))
LIMIT 1
