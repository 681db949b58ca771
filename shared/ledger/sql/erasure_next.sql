-- The oldest erasure that is under way.
SELECT erasure_id::text FROM erasures WHERE finished_at IS NULL ORDER BY requested_at LIMIT 1
