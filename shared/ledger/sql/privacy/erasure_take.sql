-- Lock an open erasure for its next step: of two processes that work on it, one waits for the other.
SELECT erasure_id::text, pseudonym::text, requested_at, free_text, customer_keys::text[], identifiers::text, stage, cursor::text
FROM erasures
WHERE erasure_id = $1 AND finished_at IS NULL
FOR UPDATE
