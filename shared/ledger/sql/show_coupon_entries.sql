-- Every entry of one coupon, oldest first, each with what asked for it.
SELECT transfers.recorded_at AS at, transfers.kind, transfers.order_id, transfers.lock_reference, transfers.held_uses,
    transfers.used_uses, transfers.held_minor, transfers.used_minor, transfers.currency, transfers.command_id
FROM transfers
WHERE transfers.coupon_id = $1::uuid
ORDER BY transfers.transfer_id
LIMIT $2
