-- Compare the stored campaigns of a file with the file: return whether saving would update their row. For people.
SELECT wanted.campaign_id, campaign.definition::text AS definition, campaign.definition <> wanted.definition AS differs
FROM unnest($1::text[], $2::jsonb[]) AS wanted (campaign_id, definition)
JOIN campaigns AS campaign USING (campaign_id)
