-- The event at a position: what was published last must still be there.
SELECT event_id::text, time FROM outbox WHERE position = $1
