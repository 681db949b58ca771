-- Count the events that are withheld and not published again.
SELECT count(*) FROM outbox_withheld WHERE republished_at IS NULL
