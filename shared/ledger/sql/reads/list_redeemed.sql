-- List coupons that orders used or returned, fully or partly, newest first.
SELECT ledger_entries.recorded_at AS at, ledger_entries.order_id, ledger_entries.kind, coupons.code, ledger_entries.campaign_id, ledger_entries.used_uses,
    ledger_entries.used_minor, ledger_entries.currency, ledger_entries.command_id
FROM ledger_entries LEFT JOIN coupons USING (coupon_id)
WHERE ledger_entries.kind IN ('burned', 'adjusted', 'returned', 'restored') AND ledger_entries.order_id IS NOT NULL AND (ledger_entries.kind <> 'adjusted' OR ledger_entries.redemption_id IS NOT NULL)  -- others empty a lock for another customer's use
  AND ledger_entries.recorded_at >= $1
  AND ($3::text IS NULL OR ledger_entries.order_id = $3) AND ($4::text IS NULL OR starts_with(ledger_entries.order_id, $4))
ORDER BY ledger_entries.entry_id DESC
LIMIT $2
