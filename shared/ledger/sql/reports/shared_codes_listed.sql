-- List shared codes that new ones are compared with, those of campaigns that changed last first.
SELECT campaign_id, definition #>> '{code,shared_code}' AS code
FROM campaign_terms
WHERE definition #>> '{code,shared_code}' IS NOT NULL AND status <> 'archived' AND campaign_id <> ALL ($1::text[])
  AND ($3::text[] IS NULL OR campaign_group = ANY ($3))
ORDER BY version DESC
LIMIT $2
