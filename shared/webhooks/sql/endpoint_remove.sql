-- Hide an endpoint from lists; the log of its deliveries still refers to it.
UPDATE webhook_endpoints
SET deleted_at = now(), status = 'disabled', disabled_reason = 'The endpoint was removed.'
WHERE endpoint_id = $1 AND deleted_at IS NULL
RETURNING endpoint_id
