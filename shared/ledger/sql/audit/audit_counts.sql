-- Count the rows that an audit looks at.
SELECT (SELECT count(*) FROM coupons) AS coupons, (SELECT count(*) FROM meters) + (SELECT count(*) FROM period_meters) AS meters,
       (SELECT count(*) FROM ledger_entries) AS ledger_entries, (SELECT count(*) FROM journal) AS commands
