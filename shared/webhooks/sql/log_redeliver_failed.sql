-- What failed since a time is due again, the oldest first and not more than asked for.
UPDATE webhook_deliveries SET status = 'pending', next_attempt_at = now()
WHERE delivery_id IN (
    SELECT delivery_id FROM webhook_deliveries
    WHERE endpoint_id = $1 AND status = 'failed' AND created_at >= $2
    ORDER BY delivery_id LIMIT $3
)
