-- Store the same headers under another key. The campaign itself doesn't change, so version and time stay.
UPDATE campaigns
SET definition = jsonb_set(definition, '{source,headers}', wanted.after)
FROM unnest($1::text[], $2::jsonb[], $3::jsonb[]) AS wanted (campaign_id, before, after)
WHERE campaigns.campaign_id = wanted.campaign_id AND definition #> '{source,headers}' = wanted.before
