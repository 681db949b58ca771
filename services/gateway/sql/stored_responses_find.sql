-- Read requests that this process may not execute again: the stored response, or none if another process executes it.
SELECT caller, idempotency_key, fingerprint, status, media_type, body
FROM http_answers
JOIN unnest($1::text[], $2::text[]) AS requested (caller, idempotency_key) USING (caller, idempotency_key)
