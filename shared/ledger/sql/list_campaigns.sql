-- All campaigns as people list them.
SELECT campaign_id, status, definition::text AS definition, created_at, updated_at
FROM campaigns
ORDER BY campaign_id
