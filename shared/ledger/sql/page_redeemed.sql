-- A page of what orders used and gave back, newest first; null filters ask nothing.
SELECT transfers.transfer_id, transfers.recorded_at AS at, transfers.order_id, transfers.kind, coupons.code,
    transfers.coupon_id::text AS coupon_id, transfers.campaign_id, transfers.redemption_id::text AS redemption_id,
    transfers.used_minor, transfers.currency, transfers.command_id
FROM transfers LEFT JOIN coupons USING (coupon_id)
WHERE transfers.kind IN ('burned', 'returned', 'restored')
  AND transfers.order_id IS NOT NULL
  AND ($1::text IS NULL OR transfers.kind = $1)
  AND ($2::timestamptz IS NULL OR transfers.recorded_at >= $2)
  AND ($3::timestamptz IS NULL OR transfers.recorded_at < $3)
  AND ($4::text IS NULL OR transfers.campaign_id = $4)
  AND ($5::uuid IS NULL OR transfers.customer_key = $5)
  AND ($6::text IS NULL OR transfers.order_id = $6)
  AND ($7::uuid IS NULL OR transfers.coupon_id = $7)
  AND ($8::bigint IS NULL OR transfers.transfer_id < $8)
  AND ($10::text[] IS NULL OR transfers.campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($10)))
ORDER BY transfers.transfer_id DESC
LIMIT $9
