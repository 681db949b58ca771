-- Make one delivery due at once, whatever its status.
UPDATE webhook_deliveries SET status = 'pending', next_attempt_at = now(), delivered_at = NULL
WHERE endpoint_id = $1 AND delivery_id = $2
RETURNING delivery_id
