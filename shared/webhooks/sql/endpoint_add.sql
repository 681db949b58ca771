-- A new endpoint, active from now on.
INSERT INTO webhook_endpoints (url, secret, event_types) VALUES ($1, $2, $3) RETURNING endpoint_id
