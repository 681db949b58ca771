-- List the endpoints with their numbers of pending and failed deliveries, oldest first, without secrets.
SELECT endpoint.endpoint_id, endpoint.url, endpoint.event_types, endpoint.status, endpoint.disabled_reason,
       endpoint.consecutive_failures, endpoint.created_at, delivery.pending, delivery.failed
FROM webhook_endpoints AS endpoint
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE status = 'pending') AS pending, count(*) FILTER (WHERE status = 'failed') AS failed
    FROM webhook_deliveries
    WHERE webhook_deliveries.endpoint_id = endpoint.endpoint_id
) AS delivery
WHERE endpoint.deleted_at IS NULL
ORDER BY endpoint.created_at, endpoint.endpoint_id
