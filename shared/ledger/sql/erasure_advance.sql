-- A step of an erasure is done: how far it came, and how many rows it changed.
UPDATE erasures
SET stage = $2, cursor = $3::jsonb, updated_at = now(),
    counts = CASE WHEN $5 = 0 THEN counts ELSE counts || jsonb_build_object($4::text, coalesce((counts ->> $4)::bigint, 0) + $5::bigint) END
WHERE erasure_id = $1
