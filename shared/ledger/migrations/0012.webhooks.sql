-- Webhooks managed over HTTP: rotating secrets, removed endpoints, and a paged log of deliveries.
-- depends: 0011.reads

ALTER TABLE webhook_endpoints ADD COLUMN previous_secret text;
ALTER TABLE webhook_endpoints ADD COLUMN previous_secret_until timestamptz;
ALTER TABLE webhook_endpoints ADD COLUMN deleted_at timestamptz;
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, delivery_id);
