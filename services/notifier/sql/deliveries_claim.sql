-- Takes what is due for this process: of each active endpoint the longest due, as many as it has free calls for, and
-- none that another process is taking. Puts them off by the lease, so that no transaction is open during the call and
-- a process that dies costs one attempt, not the delivery.
WITH due AS (
    SELECT waiting.delivery_id
    FROM webhook_endpoints AS endpoint
    LEFT JOIN unnest($1::uuid[], $2::integer[]) AS busy (endpoint_id, calls) USING (endpoint_id)
    CROSS JOIN LATERAL (
        SELECT delivery.delivery_id, delivery.next_attempt_at
        FROM webhook_deliveries AS delivery
        WHERE delivery.endpoint_id = endpoint.endpoint_id
          AND delivery.status = 'pending'
          AND delivery.next_attempt_at <= now()
        ORDER BY delivery.next_attempt_at
        LIMIT greatest($3::integer - coalesce(busy.calls, 0), 0)
        FOR UPDATE SKIP LOCKED
    ) AS waiting
    WHERE endpoint.status = 'active'
    ORDER BY waiting.next_attempt_at
    LIMIT $4
)
UPDATE webhook_deliveries AS delivery
SET attempts = delivery.attempts + 1,
    next_attempt_at = now() + make_interval(secs => $5)
FROM due, webhook_endpoints AS endpoint
WHERE delivery.delivery_id = due.delivery_id
  AND endpoint.endpoint_id = delivery.endpoint_id
RETURNING delivery.delivery_id, delivery.endpoint_id, endpoint.url, endpoint.secret, delivery.event_id::text,
          delivery.type, delivery.payload, delivery.attempts,
          CASE WHEN endpoint.previous_secret_until > now() THEN endpoint.previous_secret END
