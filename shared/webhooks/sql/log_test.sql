-- Add a delivery of a test event for one endpoint; it is sent like all others.
INSERT INTO webhook_deliveries (endpoint_id, event_id, type, payload)
SELECT endpoint_id, $2, $3, $4 FROM webhook_endpoints WHERE endpoint_id = $1 AND status = 'active'
RETURNING delivery_id
