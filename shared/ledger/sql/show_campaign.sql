-- One campaign as it was loaded.
SELECT campaign_id, status, definition::text AS definition, created_at, updated_at
FROM campaigns
WHERE campaign_id = $1
