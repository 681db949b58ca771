-- Return a page of an endpoint's deliveries with their attempts, newest first, by id.
SELECT delivery.delivery_id, delivery.event_id::text, delivery.type, delivery.status, delivery.attempts,
    delivery.created_at, delivery.delivered_at,
    CASE WHEN delivery.status = 'pending' THEN delivery.next_attempt_at END AS next_attempt_at,
    coalesce((
        SELECT json_agg(json_build_object('attempt', attempt.attempt, 'at', attempt.attempted_at,
            'status_code', attempt.status_code, 'error', attempt.error, 'latency_ms', attempt.latency_ms)
            ORDER BY attempt.attempt)
        FROM webhook_attempts AS attempt WHERE attempt.delivery_id = delivery.delivery_id
    ), '[]')::text AS tries
FROM webhook_deliveries AS delivery
WHERE delivery.endpoint_id = $1
  AND ($2::text IS NULL OR delivery.status = $2)
  AND ($3::bigint IS NULL OR delivery.delivery_id < $3)
ORDER BY delivery.delivery_id DESC
LIMIT $4
