-- Read the next events for the relay: a plain range of the primary key, since positions are in commit order.
SELECT position, event_id::text, topic, key, type, source, subject, time, data::text, traceparent
FROM outbox
WHERE position > $1
ORDER BY position
LIMIT $2
