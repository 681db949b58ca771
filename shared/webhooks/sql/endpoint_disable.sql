-- Stop new deliveries and calls of an endpoint; pending deliveries stay pending.
UPDATE webhook_endpoints
SET status = 'disabled', disabled_reason = $2
WHERE endpoint_id = $1 AND deleted_at IS NULL
RETURNING endpoint_id
