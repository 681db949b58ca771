-- Show the current state of an erasure.
SELECT erasure_id::text, pseudonym::text, requested_by, requested_at, free_text, stage, counts::text, finished_at
FROM erasures WHERE erasure_id = $1
