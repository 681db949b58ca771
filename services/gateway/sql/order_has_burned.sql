-- Check whether coupons were ever redeemed on an order, of campaigns of these groups or of any. Restored ones count
-- too. Uses the index ledger_entries_order_coupon.
SELECT EXISTS (
    SELECT FROM ledger_entries
    WHERE order_id = $1 AND kind = 'burned'
      AND ($2::text[] IS NULL OR campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($2)))
)
