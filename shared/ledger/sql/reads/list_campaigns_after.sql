-- Read a page of campaigns, in the order of their ids.
SELECT campaign_id, status, definition::text AS definition, created_at, updated_at
FROM campaign_terms
WHERE ($1::text IS NULL OR campaign_id > $1) AND ($2::text IS NULL OR status = $2)
  AND ($4::text[] IS NULL OR campaign_group = ANY ($4))
ORDER BY campaign_id
LIMIT $3
