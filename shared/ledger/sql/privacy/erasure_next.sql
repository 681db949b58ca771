-- Return the oldest open erasure, except those that can't be worked on at the moment.
SELECT erasure_id::text FROM erasures WHERE finished_at IS NULL AND erasure_id <> ALL($1::uuid[]) ORDER BY requested_at LIMIT 1
