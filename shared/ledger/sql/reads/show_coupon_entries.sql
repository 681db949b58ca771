-- List the entries of the coupons of one code, oldest first, each with the command that caused it and the reason that it states.
SELECT ledger_entries.recorded_at AS at, ledger_entries.kind, ledger_entries.order_id, ledger_entries.lock_reference, ledger_entries.held_uses,
    ledger_entries.used_uses, ledger_entries.held_minor, ledger_entries.used_minor, ledger_entries.currency, ledger_entries.command_id,
    ledger_entries.campaign_id, ledger_entries.ends_at, journal.verdict -> 'metadata' ->> 'reason' AS message
FROM ledger_entries LEFT JOIN journal ON journal.command_id = ledger_entries.command_id
    AND ledger_entries.kind IN ('voided', 'unvoided', 'extended') AND journal.kind IN ('ChangeCoupon', 'RevokeReward')
WHERE ledger_entries.coupon_id = ANY ($1::uuid[])
  AND (ledger_entries.kind <> 'burned' OR ledger_entries.order_id IS NOT NULL)  -- others empty a lock for another customer's use
ORDER BY ledger_entries.entry_id
LIMIT $2
