-- Deletes what external sources were asked long ago, a bounded number, oldest first. The journal keeps what came of it.
DELETE FROM external_requests
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM external_requests
    WHERE asked_at < now() - make_interval(secs => $1)
    ORDER BY asked_at LIMIT $2
))
