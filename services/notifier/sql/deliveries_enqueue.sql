-- Add a delivery of each event for each active endpoint subscribed to its type.
INSERT INTO webhook_deliveries (endpoint_id, event_id, type, payload)
SELECT endpoint.endpoint_id, event.event_id, event.type, event.payload
FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS event (event_id, type, payload, ordinal)
JOIN webhook_endpoints AS endpoint
  ON endpoint.status = 'active' AND (event.type = ANY (endpoint.event_types) OR '*' = ANY (endpoint.event_types))
ORDER BY event.ordinal, endpoint.endpoint_id
ON CONFLICT (endpoint_id, event_id) DO NOTHING
