-- Lock withheld events to publish again, the chosen ones or all up to a position, so that each is taken once.
SELECT position, event_id::text, topic, key, type, source, subject, time, data::text, traceparent
FROM outbox_withheld
WHERE republished_at IS NULL AND position <= $2 AND ($1::bigint[] IS NULL OR position = ANY($1))
ORDER BY position
LIMIT $3
FOR UPDATE
