-- Claim due deliveries for one lane of this process: for each endpoint the oldest, up to its free calls, skipping
-- those that another process is claiming. First calls come before second ones, so that no endpoint waits for
-- another's backlog; $7 limits the further ones. Postpones them by the lease, so that no transaction is open during the
-- call and a process that dies costs one attempt, not the delivery.
WITH waiting AS (
    SELECT due.delivery_id, due.next_attempt_at, coalesce(busy.calls, 0)
        + row_number() OVER (PARTITION BY endpoint.endpoint_id ORDER BY due.next_attempt_at, due.delivery_id) AS call
    FROM webhook_endpoints AS endpoint
    LEFT JOIN unnest($1::uuid[], $2::integer[]) AS busy (endpoint_id, calls) USING (endpoint_id)
    CROSS JOIN LATERAL (
        SELECT delivery.delivery_id, delivery.next_attempt_at
        FROM webhook_deliveries AS delivery
        WHERE delivery.endpoint_id = endpoint.endpoint_id
          AND delivery.status = 'pending'
          AND delivery.next_attempt_at <= now()
        ORDER BY delivery.next_attempt_at
        LIMIT greatest(least($3::integer - coalesce(busy.calls, 0), $6::integer), 0)
        FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE endpoint.status = 'active' AND (endpoint.endpoint_id = ANY ($5::uuid[])) = $4::boolean
), ranked AS (
    SELECT delivery_id, next_attempt_at, call, row_number() OVER (ORDER BY call, next_attempt_at, delivery_id)
        - count(*) FILTER (WHERE call = 1) OVER () AS further
    FROM waiting
), taken AS (
    SELECT delivery_id FROM ranked WHERE call = 1 OR further <= $7::integer ORDER BY call, next_attempt_at LIMIT $6
)
UPDATE webhook_deliveries AS delivery
SET attempts = delivery.attempts + 1,
    next_attempt_at = now() + make_interval(secs => $8)
FROM taken, webhook_endpoints AS endpoint
WHERE delivery.delivery_id = taken.delivery_id
  AND endpoint.endpoint_id = delivery.endpoint_id
RETURNING delivery.delivery_id, delivery.endpoint_id, endpoint.url, endpoint.secret, delivery.event_id::text,
          delivery.type, delivery.payload, delivery.attempts,
          CASE WHEN endpoint.previous_secret_until > now() THEN endpoint.previous_secret END
