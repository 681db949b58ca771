-- Delete old webhook deliveries with their attempts, oldest first, up to a limit. One that is still pending then
-- belongs to an endpoint that was disabled or removed. Arrays keep both deletes on their indexes.
WITH old AS MATERIALIZED (
    SELECT delivery_id FROM webhook_deliveries
    WHERE created_at < now() - make_interval(secs => $1)
    ORDER BY created_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), attempts AS (
    DELETE FROM webhook_attempts WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM old))
)
DELETE FROM webhook_deliveries WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM old))
