-- What any active endpoint asked for, so that no payload is built for nobody.
SELECT DISTINCT unnest(event_types) FROM webhook_endpoints WHERE status = 'active'
