-- Replace URL and types of an endpoint; pending deliveries go to the new URL.
UPDATE webhook_endpoints SET url = $2, event_types = $3
WHERE endpoint_id = $1 AND deleted_at IS NULL
RETURNING endpoint_id
