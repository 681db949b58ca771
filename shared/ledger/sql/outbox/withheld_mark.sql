-- Record that withheld events are in the outbox again.
UPDATE outbox_withheld SET republished_at = now() WHERE position = ANY($1)
