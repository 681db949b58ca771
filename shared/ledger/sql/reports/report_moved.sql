-- Sum up campaigns' coupons on orders, by campaign and currency. Either end of the window may be open. Sums of amounts
-- are numeric: a bigint overflows after ten orders of the largest amount, and one such campaign would fail all reports.
SELECT campaign_id, currency,
    count(*) FILTER (WHERE kind = 'burned' AND used_uses > 0) AS redeemed,
    count(*) FILTER (WHERE kind = 'restored') AS restored,
    sum(used_minor) AS discount_minor
FROM ledger_entries
WHERE kind IN ('burned', 'adjusted', 'returned', 'restored') AND order_id IS NOT NULL AND (kind <> 'adjusted' OR redemption_id IS NOT NULL)
  AND ($1::text IS NULL OR campaign_id = $1)
  AND ($2::timestamptz IS NULL OR recorded_at >= $2) AND ($3::timestamptz IS NULL OR recorded_at < $3)
  AND ($4::text[] IS NULL OR campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($4)))
GROUP BY campaign_id, currency
