-- Three roles: owner (migrations), service (all services), reader (read only). A login is a member of one of them.
-- depends: 0003.edges

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['couponry_owner', 'couponry_service', 'couponry_readonly'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database of this cluster was migrated at the same time
            END;
        END IF;
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO couponry_owner, couponry_service, couponry_readonly', current_schema());
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO couponry_owner', current_schema());
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO couponry_owner, couponry_service, couponry_readonly', current_schema());
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO couponry_service', current_schema());
END $$;

REVOKE SELECT (secret) ON webhook_endpoints FROM couponry_readonly;
REVOKE SELECT ON webhook_endpoints FROM couponry_readonly;
GRANT SELECT (endpoint_id, url, event_types, status, disabled_reason, consecutive_failures, created_at) ON webhook_endpoints TO couponry_readonly;

GRANT INSERT, UPDATE ON campaigns, customers, customer_identifiers, coupons, meters, orders, locks TO couponry_service;
GRANT DELETE ON meters TO couponry_service;  -- a campaign that loses a limit loses its meters
GRANT INSERT, UPDATE, DELETE ON lock_uses, webhook_endpoints, webhook_deliveries, external_requests TO couponry_service;
GRANT INSERT ON transfers, journal, webhook_attempts TO couponry_service;
GRANT INSERT, DELETE ON outbox TO couponry_service;  -- the relay deletes old published events
