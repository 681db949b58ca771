-- Show one campaign as it was loaded, with its secrets hidden.
SELECT campaign_id, status, definition::text AS definition, created_at, updated_at
FROM campaign_terms
WHERE campaign_id = $1
