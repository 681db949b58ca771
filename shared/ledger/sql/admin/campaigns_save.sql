-- Create or change campaigns. An unchanged definition keeps its version, so that no cache reads it again.
INSERT INTO campaigns AS campaign (campaign_id, status, definition)
SELECT campaign_id, status, definition
FROM unnest($1::text[], $2::text[], $3::jsonb[]) AS wanted (campaign_id, status, definition)
ON CONFLICT (campaign_id) DO UPDATE SET
    status = excluded.status,
    definition = excluded.definition,
    version = nextval(pg_get_serial_sequence('campaigns', 'version')),
    updated_at = now()
WHERE campaign.definition <> excluded.definition
RETURNING campaign_id, xmax = 0 AS created
