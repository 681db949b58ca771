-- Puts away what was answered long ago. A command stays what it was: the journal keeps its verdict for good.
DELETE FROM http_answers
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM http_answers
    WHERE started_at < now() - make_interval(secs => $1)
    ORDER BY started_at LIMIT $2
))
