-- Enable an endpoint and clear its failures; pending deliveries are sent when they are due.
UPDATE webhook_endpoints
SET status = 'active', disabled_reason = NULL, consecutive_failures = 0
WHERE endpoint_id = $1 AND deleted_at IS NULL
RETURNING endpoint_id
