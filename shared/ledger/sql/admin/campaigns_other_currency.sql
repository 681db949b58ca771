-- Find discounts that a campaign with a budget gave, or holds, in a currency other than the budget's. One total can't
-- count both.
SELECT campaign_id, ledger_entries.currency
FROM ledger_entries JOIN unnest($1::text[], $2::text[]) AS budget (campaign_id, currency) USING (campaign_id)
WHERE ledger_entries.currency <> budget.currency
GROUP BY campaign_id, ledger_entries.currency
HAVING sum(held_minor) <> 0 OR sum(used_minor) <> 0
ORDER BY campaign_id, ledger_entries.currency
LIMIT 1
