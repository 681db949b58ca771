-- Return the stored headers of external sources, to compare them with what is loaded and to encrypt them under another
-- key.
SELECT campaign_id, (definition #> '{source,headers}')::text AS headers
FROM campaigns
WHERE campaign_id = ANY ($1::text[]) AND definition #> '{source,headers}' IS NOT NULL
