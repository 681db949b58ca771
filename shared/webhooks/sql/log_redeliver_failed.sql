-- Make deliveries that failed since a time due again, oldest first, up to a limit.
UPDATE webhook_deliveries SET status = 'pending', next_attempt_at = now()
WHERE delivery_id IN (
    SELECT delivery_id FROM webhook_deliveries
    WHERE endpoint_id = $1 AND status = 'failed' AND created_at >= $2
    ORDER BY delivery_id LIMIT $3
)
