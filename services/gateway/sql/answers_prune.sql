-- Puts away what was answered long ago. A command stays what it was: the journal keeps its verdict for good.
DELETE FROM http_answers
WHERE (caller, idempotency_key) IN (
    SELECT caller, idempotency_key FROM http_answers
    WHERE started_at < now() - make_interval(days => $1)
    ORDER BY started_at LIMIT $2
)
