-- Return the types that active endpoints subscribe to, so that no unneeded payload is built.
SELECT DISTINCT unnest(event_types) FROM webhook_endpoints WHERE status = 'active'
