-- Coupons that orders used or gave back, in whole or in part, newest first.
SELECT transfers.recorded_at AS at, transfers.order_id, transfers.kind, coupons.code, transfers.campaign_id, transfers.used_uses,
    transfers.used_minor, transfers.currency, transfers.command_id
FROM transfers LEFT JOIN coupons USING (coupon_id)
WHERE transfers.kind IN ('burned', 'returned', 'restored') AND transfers.recorded_at >= $1
ORDER BY transfers.transfer_id DESC
LIMIT $2
