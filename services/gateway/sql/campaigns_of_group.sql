-- The campaigns of a group that are not archived.
SELECT campaign_id FROM campaigns WHERE definition->>'group' = $1 AND status <> 'archived' ORDER BY campaign_id
