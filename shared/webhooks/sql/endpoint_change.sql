-- Another address, or other types, from now on; what waits goes to the new address.
UPDATE webhook_endpoints SET url = $2, event_types = $3
WHERE endpoint_id = $1 AND deleted_at IS NULL
RETURNING endpoint_id
