-- List all campaigns, for people.
SELECT campaign_id, status, definition::text AS definition, created_at, updated_at
FROM campaign_terms
ORDER BY campaign_id
