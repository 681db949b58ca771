-- Delete old requests to external sources, oldest first, up to a limit. The journal keeps their results.
DELETE FROM external_requests
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM external_requests
    WHERE asked_at < now() - make_interval(secs => $1)
    ORDER BY asked_at LIMIT $2
))
