-- Find the open erasure of the customer with these identifiers; a second request continues it.
SELECT erasure_id::text FROM erasures
WHERE finished_at IS NULL AND identifiers @> jsonb_build_array(jsonb_build_array($1::text, $2::text))
ORDER BY requested_at
LIMIT 1
