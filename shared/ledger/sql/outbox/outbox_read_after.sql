-- The next events for the relay. A plain range of the primary key: positions are in commit order.
SELECT position, event_id::text, topic, key, type, source, subject, time, data::text, traceparent
FROM outbox
WHERE position > $1
ORDER BY position
LIMIT $2
