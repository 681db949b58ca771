-- Move one event that can't be published to the withheld events. Returns no row if it is no longer in the outbox.
WITH moved AS (
    DELETE FROM outbox WHERE position = $1
    RETURNING position, event_id, topic, key, type, source, subject, time, traceparent, data
)
INSERT INTO outbox_withheld
    (position, event_id, topic, key, type, source, subject, time, traceparent, data, error_class, error_text)
SELECT position, event_id, topic, key, type, source, subject, time, traceparent, data, $2, $3 FROM moved
RETURNING position, event_id::text, topic, key, type, withheld_at
