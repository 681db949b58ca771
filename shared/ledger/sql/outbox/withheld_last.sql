-- Return the position of the newest withheld event that is still open; 0 for none.
SELECT coalesce(max(position), 0) FROM outbox_withheld WHERE republished_at IS NULL
