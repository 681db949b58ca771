-- Deletes rows of the erasure log, a bounded number, oldest first; never one of an erasure under way.
DELETE FROM erasures
WHERE erasure_id = ANY (ARRAY(
    SELECT erasure_id FROM erasures
    WHERE finished_at < now() - make_interval(secs => $1)
    ORDER BY finished_at LIMIT $2
))
