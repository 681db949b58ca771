-- A new endpoint, active from now on. Its id is drawn before, since the stored secret is bound to it.
INSERT INTO webhook_endpoints (endpoint_id, url, secret, event_types) VALUES ($1, $2, $3, $4)
