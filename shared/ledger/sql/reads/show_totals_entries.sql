-- Count the ledger entries by kind and currency. Reads all of them: for people, not for services.
SELECT kind, currency, count(*) AS entries, count(DISTINCT redemption_id) AS redemptions, sum(used_minor) AS used_minor
FROM ledger_entries
WHERE kind <> 'burned' OR order_id IS NOT NULL  -- others empty a lock for another customer's use
GROUP BY kind, currency
ORDER BY kind, currency
