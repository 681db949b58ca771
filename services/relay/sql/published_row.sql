-- The event at a position, whether it is in the outbox or was withheld: what was published last must be there.
SELECT event_id::text, time FROM outbox WHERE position = $1
UNION ALL
SELECT event_id::text, time FROM outbox_withheld WHERE position = $1
