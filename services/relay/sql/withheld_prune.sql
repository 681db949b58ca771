-- Delete old withheld events that have since been published, up to a limit.
DELETE FROM outbox_withheld
WHERE position IN (
    SELECT position FROM outbox_withheld
    WHERE republished_at < now() - make_interval(secs => $1)
    ORDER BY republished_at LIMIT $2
)
