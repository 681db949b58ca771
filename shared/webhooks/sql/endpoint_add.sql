-- Add an active endpoint; return no row if there are $5 already. The caller draws the id, because the stored secret is
-- bound to it.
INSERT INTO webhook_endpoints (endpoint_id, url, secret, event_types)
SELECT $1::uuid, $2::text, $3::text, $4::text[]
WHERE (SELECT count(*) FROM webhook_endpoints WHERE deleted_at IS NULL) < $5
RETURNING endpoint_id
