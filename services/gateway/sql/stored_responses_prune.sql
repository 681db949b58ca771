-- Delete old stored responses. The journal keeps the verdicts of their commands permanently.
DELETE FROM http_answers
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM http_answers
    WHERE started_at < now() - make_interval(secs => $1)
    ORDER BY started_at LIMIT $2
))
