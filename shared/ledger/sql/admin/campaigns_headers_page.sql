-- A page of campaigns whose source has headers, by id. Few campaigns have a source with headers; asked by hand and at a start.
SELECT campaign_id, (definition #> '{source,headers}')::text AS headers
FROM campaigns
WHERE campaign_id > $1 AND definition #> '{source,headers}' <> '{}'
ORDER BY campaign_id
LIMIT $2
