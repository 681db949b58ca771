-- Moves one event that can't be published from the outbox to the withheld ones; no row when it is there no more.
WITH moved AS (
    DELETE FROM outbox WHERE position = $1
    RETURNING position, event_id, topic, key, type, source, subject, time, traceparent, data
)
INSERT INTO outbox_withheld
    (position, event_id, topic, key, type, source, subject, time, traceparent, data, error_class, error_text)
SELECT position, event_id, topic, key, type, source, subject, time, traceparent, data, $2, $3 FROM moved
RETURNING position, event_id::text, topic, key, type, withheld_at
