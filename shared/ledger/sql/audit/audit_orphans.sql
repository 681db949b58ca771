-- Find entries without a coupon, campaign or command, since the hot path has no foreign keys. The engine's own commands
-- begin with "expire ".
SELECT format('ledger entry %s', entry_id) AS what, 'a coupon of campaign ' || ledger_entries.campaign_id AS expected,
       coalesce('a coupon of campaign ' || coupons.campaign_id, 'no coupon') AS found
FROM ledger_entries LEFT JOIN coupons USING (coupon_id)
WHERE coupons.campaign_id IS DISTINCT FROM ledger_entries.campaign_id
UNION ALL
SELECT format('ledger entry %s', entry_id), 'a recorded command', 'none: ' || ledger_entries.command_id
FROM ledger_entries LEFT JOIN journal USING (command_id)
WHERE journal.command_id IS NULL AND ledger_entries.command_id NOT LIKE 'expire %'
LIMIT $1
