-- Erasure (GDPR Art. 17) and export (Art. 15): an erasure log, the one change of a ledger entry that is allowed, and indexes
-- that find all rows of a person.
-- depends: 0013.jobs

-- One row per erasure. `identifiers` and `customer_keys` are emptied when the work is done. The requester, the times, the
-- pseudonym and the number of changed rows remain.
CREATE TABLE erasures (
    erasure_id    uuid        PRIMARY KEY,
    pseudonym     uuid        NOT NULL,
    requested_by  text        NOT NULL,
    requested_at  timestamptz NOT NULL,
    free_text     boolean     NOT NULL,   -- also look through the free text of other people's requests
    customer_keys uuid[]      NOT NULL,
    identifiers   jsonb       NOT NULL,   -- [[kind, value], …]
    stage         text        NOT NULL,   -- the step that comes next
    cursor        jsonb,                  -- how far that step is; null at its beginning
    counts        jsonb       NOT NULL DEFAULT '{}',  -- step → rows changed
    updated_at    timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz
);
CREATE INDEX erasures_open ON erasures (requested_at) WHERE finished_at IS NULL;
CREATE INDEX erasures_finished_at ON erasures (finished_at) WHERE finished_at IS NOT NULL;

-- All rows of a person, of every kind; these replace indexes on some kinds only.
DROP INDEX transfers_customer_key;
CREATE INDEX transfers_customer_key ON transfers (customer_key, transfer_id) WHERE customer_key IS NOT NULL;
DROP INDEX journal_refused_customer;
CREATE INDEX journal_customer_key ON journal ((verdict ->> 'customer_key'), decided_at) WHERE (verdict ->> 'customer_key') IS NOT NULL;
CREATE INDEX locks_customer_key ON locks (customer_key) WHERE customer_key IS NOT NULL;

-- Read when old rows are deleted.
CREATE INDEX webhook_deliveries_created_at ON webhook_deliveries (created_at);
CREATE INDEX external_requests_asked_at ON external_requests (asked_at);
CREATE INDEX jobs_ended ON jobs (updated_at) WHERE status IN ('done', 'failed');

-- An entry is never changed, with one exception: the customer's key may become the pseudonym of an open erasure.
CREATE FUNCTION transfers_only_forget() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before transfers := OLD;
BEGIN
    before.customer_key := NEW.customer_key;
    IF before IS DISTINCT FROM NEW OR NOT EXISTS (
        SELECT FROM erasures
        WHERE finished_at IS NULL AND OLD.customer_key = ANY (customer_keys) AND NEW.customer_key = pseudonym
    ) THEN
        RAISE EXCEPTION 'transfers are append-only: % is not allowed; write a new entry that says otherwise', TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

DROP TRIGGER transfers_append_only ON transfers;
CREATE TRIGGER transfers_append_only BEFORE UPDATE ON transfers FOR EACH ROW EXECUTE FUNCTION transfers_only_forget();
CREATE TRIGGER transfers_never_deleted BEFORE DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION transfers_are_for_good();

-- The service may not update transfers. It may call this, which puts the pseudonym on at most `most` entries of the person of
-- an open erasure. Returns the number of changed entries.
CREATE FUNCTION erase_transfers(erasing uuid, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    open_erasure erasures;
    changed integer;
BEGIN
    SELECT * INTO open_erasure FROM erasures WHERE erasure_id = erasing AND finished_at IS NULL;
    UPDATE transfers SET customer_key = open_erasure.pseudonym
    WHERE transfer_id IN (
        SELECT transfer_id FROM transfers WHERE customer_key = ANY (open_erasure.customer_keys) LIMIT most
    );
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$;

-- The service may not update the journal either. It may call this, which stores verdicts that differ from the recorded ones only
-- in customer key, metadata and the text of refusals. The fingerprint, a hash of the command, is removed too: version 0 is never
-- compared, so the same command still gets its verdict.
CREATE FUNCTION erase_verdicts(erasing uuid, command_ids text[], verdicts text[]) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    open_erasure erasures;
    changed integer;
BEGIN
    SELECT * INTO open_erasure FROM erasures WHERE erasure_id = erasing AND finished_at IS NULL;
    IF open_erasure IS NULL THEN
        RAISE EXCEPTION 'there is no open erasure %', erasing USING ERRCODE = 'restrict_violation';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(command_ids, verdicts) AS erased (command_id, verdict) JOIN journal USING (command_id)
        WHERE (journal.verdict::jsonb - '{customer_key,metadata,refused}'::text[]) <> (erased.verdict::jsonb - '{customer_key,metadata,refused}'::text[])
           OR jsonb_path_query_array(journal.verdict::jsonb, '$.refused[*].reason') <> jsonb_path_query_array(erased.verdict::jsonb, '$.refused[*].reason')
           OR ((journal.verdict ->> 'customer_key') IS DISTINCT FROM (erased.verdict::jsonb ->> 'customer_key')
               AND NOT ((journal.verdict ->> 'customer_key') = ANY (open_erasure.customer_keys::text[])
                        AND (erased.verdict::jsonb ->> 'customer_key') = open_erasure.pseudonym::text))
    ) THEN
        RAISE EXCEPTION 'verdicts are for good: an erasure may only replace who they are of' USING ERRCODE = 'restrict_violation';
    END IF;
    UPDATE journal SET verdict = erased.verdict::json, fingerprint = '\x00'
    FROM unnest(command_ids, verdicts) AS erased (command_id, verdict)
    WHERE journal.command_id = erased.command_id;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$;

DO $$
DECLARE
    made text;
BEGIN
    FOREACH made IN ARRAY ARRAY['erase_transfers(uuid, integer)', 'erase_verdicts(uuid, text[], text[])'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', made, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO couponry_service', made);
    END LOOP;
    EXECUTE format('ALTER FUNCTION transfers_only_forget() SET search_path = %I, pg_temp', current_schema());
END $$;

GRANT SELECT ON erasures TO couponry_owner, couponry_service;
GRANT SELECT (erasure_id, pseudonym, requested_by, requested_at, free_text, stage, counts, updated_at, finished_at) ON erasures
    TO couponry_readonly;
GRANT INSERT, UPDATE, DELETE ON erasures TO couponry_service;
GRANT DELETE ON customers, customer_identifiers TO couponry_service;
GRANT UPDATE (occasion) ON shared_occasions TO couponry_service;
GRANT UPDATE (key, subject, data) ON outbox TO couponry_service;
GRANT UPDATE (error), DELETE ON webhook_attempts TO couponry_service;
GRANT DELETE ON jobs TO couponry_service;
