-- The headers of external sources as they are stored, for comparing with what is loaded and for encrypting them anew.
SELECT campaign_id, (definition #> '{source,headers}')::text AS headers
FROM campaigns
WHERE campaign_id = ANY ($1::text[]) AND definition #> '{source,headers}' IS NOT NULL
