-- Deletes withheld events that were published again long ago, a bounded number.
DELETE FROM outbox_withheld
WHERE position IN (
    SELECT position FROM outbox_withheld
    WHERE republished_at < now() - make_interval(secs => $1)
    ORDER BY republished_at LIMIT $2
)
