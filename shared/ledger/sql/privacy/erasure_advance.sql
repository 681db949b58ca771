-- Record how far an erasure is, and how many rows a step changed.
UPDATE erasures
SET stage = $2, cursor = $3::jsonb, updated_at = now(),
    counts = counts
        || CASE WHEN $5::bigint = 0 THEN '{}' ELSE jsonb_build_object($4::text, coalesce((counts ->> $4)::bigint, 0) + $5) END
        || CASE WHEN $6::bigint = 0 THEN '{}'
                ELSE jsonb_build_object('references_kept', coalesce((counts ->> 'references_kept')::bigint, 0) + $6) END
WHERE erasure_id = $1
