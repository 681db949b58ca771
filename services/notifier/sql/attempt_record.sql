-- Record one attempt's outcome on the attempt, its delivery and the endpoint, in one statement and so atomically.
-- A process whose lease has expired must not overwrite the next attempt's outcome; only "delivered" always counts.
WITH attempt AS (
    INSERT INTO webhook_attempts (delivery_id, attempt, attempted_at, status_code, error, latency_ms)
    VALUES ($1, $2, now() - make_interval(secs => coalesce($5::integer, 0) / 1000.0), $3, $4, $5)
    ON CONFLICT DO NOTHING
), delivery AS (
    UPDATE webhook_deliveries
    SET status = $6,
        delivered_at = CASE WHEN $6 = 'delivered' THEN now() END,
        next_attempt_at = now() + make_interval(secs => $7)
    WHERE delivery_id = $1
      AND status <> 'delivered'
      AND ($6 = 'delivered' OR (status = 'pending' AND attempts = $2))
    RETURNING endpoint_id
)
UPDATE webhook_endpoints AS endpoint
SET consecutive_failures = CASE WHEN $6 = 'delivered' THEN 0 ELSE endpoint.consecutive_failures + 1 END,
    status = CASE WHEN $6 = 'failed' AND ($8 OR endpoint.consecutive_failures + 1 >= $9) THEN 'disabled' ELSE endpoint.status END,
    disabled_reason = CASE
        WHEN $6 <> 'failed' OR endpoint.status = 'disabled' THEN endpoint.disabled_reason
        WHEN $8 THEN 'The endpoint answered 410 Gone.'
        WHEN endpoint.consecutive_failures + 1 >= $9 THEN
            format('%s deliveries in a row failed; the last error: %s', endpoint.consecutive_failures + 1, $4::text)
    END
FROM delivery
WHERE endpoint.endpoint_id = delivery.endpoint_id
  AND ($6 = 'failed' OR ($6 = 'delivered' AND endpoint.consecutive_failures > 0))
RETURNING endpoint.status, endpoint.disabled_reason
