-- Delete old rows of the erasure log, oldest first, up to a limit; never one of a running erasure.
DELETE FROM erasures
WHERE erasure_id = ANY (ARRAY(
    SELECT erasure_id FROM erasures
    WHERE finished_at < now() - make_interval(secs => $1)
    ORDER BY finished_at LIMIT $2
))
