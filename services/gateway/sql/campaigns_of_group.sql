-- Find the campaigns of a group that are not archived; none if the caller is bound to other groups.
SELECT campaign_id FROM campaigns
WHERE definition->>'group' = $1 AND status <> 'archived' AND ($2::text[] IS NULL OR $1 = ANY ($2))
ORDER BY campaign_id
