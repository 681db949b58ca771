-- Read a page of campaigns whose source has headers, by id. Runs rarely (at start and by hand), and few campaigns have
-- one.
SELECT campaign_id, (definition #> '{source,headers}')::text AS headers
FROM campaigns
WHERE campaign_id > $1 AND definition #> '{source,headers}' <> '{}'
ORDER BY campaign_id
LIMIT $2
