-- Queue the erasure for webhook endpoints that subscribe to it; they may have received the customer's redemptions.
INSERT INTO webhook_deliveries (endpoint_id, event_id, type, payload)
SELECT endpoint_id, event.event_id, $3, event.payload
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS event (event_id, payload, ordinal)
JOIN webhook_endpoints ON status = 'active' AND ($3 = ANY (event_types) OR '*' = ANY (event_types))
ORDER BY event.ordinal, endpoint_id
ON CONFLICT (endpoint_id, event_id) DO NOTHING
