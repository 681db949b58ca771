-- List the newest withheld events without their data. Those published again are included only on request.
SELECT position, event_id::text, topic, key, type, error_class, error_text, withheld_at, republished_at
FROM outbox_withheld
WHERE $1 OR republished_at IS NULL
ORDER BY position DESC
LIMIT $2
