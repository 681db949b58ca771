-- Read a page of redemptions and restores, newest first. A null filter selects everything.
SELECT ledger_entries.entry_id, ledger_entries.recorded_at AS at, ledger_entries.order_id, ledger_entries.kind, coupons.code,
    ledger_entries.coupon_id::text AS coupon_id, ledger_entries.campaign_id, ledger_entries.redemption_id::text AS redemption_id,
    ledger_entries.used_minor, ledger_entries.currency, ledger_entries.command_id
FROM ledger_entries LEFT JOIN coupons USING (coupon_id)
WHERE ledger_entries.kind IN ('burned', 'adjusted', 'returned', 'restored')
  AND ledger_entries.order_id IS NOT NULL AND (ledger_entries.kind <> 'adjusted' OR ledger_entries.redemption_id IS NOT NULL)
  AND ($1::text IS NULL OR ledger_entries.kind = $1)
  AND ($2::timestamptz IS NULL OR ledger_entries.recorded_at >= $2)
  AND ($3::timestamptz IS NULL OR ledger_entries.recorded_at < $3)
  AND ($4::text IS NULL OR ledger_entries.campaign_id = $4)
  AND ($5::uuid IS NULL OR ledger_entries.customer_key = $5)
  AND ($6::text IS NULL OR ledger_entries.order_id = $6)
  AND ($7::uuid[] IS NULL OR ledger_entries.coupon_id = ANY ($7))
  AND ($8::bigint IS NULL OR ledger_entries.entry_id < $8)
  AND ($10::text[] IS NULL OR ledger_entries.campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($10)))
  AND ($11::text IS NULL OR starts_with(ledger_entries.order_id, $11))
ORDER BY ledger_entries.entry_id DESC
LIMIT $9
