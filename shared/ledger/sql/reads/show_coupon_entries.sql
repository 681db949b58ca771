-- List the entries of the coupons of one code, oldest first, each with the command that caused it.
SELECT ledger_entries.recorded_at AS at, ledger_entries.kind, ledger_entries.order_id, ledger_entries.lock_reference, ledger_entries.held_uses,
    ledger_entries.used_uses, ledger_entries.held_minor, ledger_entries.used_minor, ledger_entries.currency, ledger_entries.command_id,
    ledger_entries.campaign_id
FROM ledger_entries
WHERE ledger_entries.coupon_id = ANY ($1::uuid[])
  AND (ledger_entries.kind <> 'burned' OR ledger_entries.order_id IS NOT NULL)  -- others empty a lock for another customer's use
ORDER BY ledger_entries.entry_id
LIMIT $2
