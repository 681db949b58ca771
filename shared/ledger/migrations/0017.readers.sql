-- Hide secrets from the reader role, and bind API keys to groups of campaigns.
-- depends: 0013.jobs

-- NULL: every campaign.
ALTER TABLE api_keys ADD COLUMN campaign_groups text[];
GRANT SELECT (campaign_groups) ON api_keys TO couponry_readonly;

-- Campaigns for people: validation codes and the values of headers are shown as (hidden) to every reader. The columns in
-- addition to `definition` let a list show a name without hiding anything first.
CREATE VIEW campaign_terms AS
SELECT campaign_id, status, version, created_at, updated_at,
    definition ->> 'name' AS name,
    definition ->> 'group' AS campaign_group,
    definition ->> 'window' AS time_window,
    CASE
        WHEN definition ->> 'validation_code' IS NULL AND coalesce(definition #> '{source,headers}', '{}') = '{}'
        THEN definition
        ELSE jsonb_set(
            jsonb_set(
                definition, '{validation_code}',
                CASE WHEN definition ->> 'validation_code' IS NULL THEN 'null'::jsonb ELSE '"(hidden)"'::jsonb END
            ),
            '{source,headers}',
            coalesce(
                (
                    SELECT jsonb_object_agg(name, '(hidden)')
                    FROM jsonb_object_keys(coalesce(definition #> '{source,headers}', '{}')) AS headers (name)
                ), '{}'
            )
        )
    END AS definition
FROM campaigns;
GRANT SELECT ON campaign_terms TO couponry_owner, couponry_service, couponry_readonly;

REVOKE SELECT ON campaigns FROM couponry_readonly;
GRANT SELECT (campaign_id, status, version, created_at, updated_at) ON campaigns TO couponry_readonly;

-- A fingerprint is a hash of a request with its validation code. The ledger has the rest of the request, so a short
-- code could be found by trying all codes.
DO $$
DECLARE
    columns text;
BEGIN
    SELECT string_agg(quote_ident(column_name), ', ') INTO columns
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = 'journal' AND column_name <> 'fingerprint';
    EXECUTE 'REVOKE SELECT ON journal FROM couponry_readonly';
    EXECUTE format('GRANT SELECT (%s) ON journal TO couponry_readonly', columns);
END $$;
