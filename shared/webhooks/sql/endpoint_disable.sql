-- No new deliveries and no calls from now on; what waits stays waiting.
UPDATE webhook_endpoints
SET status = 'disabled', disabled_reason = $2
WHERE endpoint_id = $1 AND deleted_at IS NULL
RETURNING endpoint_id
