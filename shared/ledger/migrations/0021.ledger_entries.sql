-- Rename `transfers` to `ledger_entries`. A row is one signed change of one coupon; a transfer would have two sides.
-- depends: 0016.privacy 0017.readers 0018.guesses 0020.finite_moments

ALTER TABLE transfers RENAME TO ledger_entries;
ALTER TABLE ledger_entries RENAME COLUMN transfer_id TO entry_id;
ALTER SEQUENCE transfers_transfer_id_seq RENAME TO ledger_entries_entry_id_seq;

ALTER INDEX transfers_pkey RENAME TO ledger_entries_pkey;
ALTER INDEX transfers_coupon_id RENAME TO ledger_entries_coupon_id;
ALTER INDEX transfers_order_coupon RENAME TO ledger_entries_order_coupon;
ALTER INDEX transfers_subscription_id RENAME TO ledger_entries_subscription_id;
ALTER INDEX transfers_returned RENAME TO ledger_entries_returned;
ALTER INDEX transfers_campaign_id RENAME TO ledger_entries_campaign_id;
ALTER INDEX transfers_customer_key RENAME TO ledger_entries_customer_key;
ALTER INDEX transfers_redemption_id RENAME TO ledger_entries_redemption_id;
ALTER TABLE ledger_entries RENAME CONSTRAINT transfers_kind_check TO ledger_entries_kind_check;

ALTER TRIGGER transfers_append_only ON ledger_entries RENAME TO ledger_entries_append_only;
ALTER TRIGGER transfers_never_deleted ON ledger_entries RENAME TO ledger_entries_never_deleted;
ALTER FUNCTION transfers_are_for_good() RENAME TO ledger_entries_refuse_changes;
ALTER FUNCTION transfers_only_forget() RENAME TO ledger_entries_allow_erasure;
ALTER FUNCTION erase_transfers(uuid, integer) RENAME TO erase_ledger_entries;

-- Function bodies are text, so they are created again with the new names.
CREATE OR REPLACE FUNCTION ledger_entries_refuse_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger entries are append-only: % is not allowed; write a new entry instead', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

-- One change is allowed: the customer's key may become the pseudonym of an open erasure.
CREATE OR REPLACE FUNCTION ledger_entries_allow_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before ledger_entries := OLD;
BEGIN
    before.customer_key := NEW.customer_key;
    IF before IS DISTINCT FROM NEW OR NOT EXISTS (
        SELECT FROM erasures
        WHERE finished_at IS NULL AND OLD.customer_key = ANY (customer_keys) AND NEW.customer_key = pseudonym
    ) THEN
        RAISE EXCEPTION 'ledger entries are append-only: % is not allowed; write a new entry instead', TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

-- Put the pseudonym on at most `most` entries of the customer of an open erasure. Return the number of changed entries.
CREATE OR REPLACE FUNCTION erase_ledger_entries(erasing uuid, most integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    open_erasure erasures;
    changed integer;
BEGIN
    SELECT * INTO open_erasure FROM erasures WHERE erasure_id = erasing AND finished_at IS NULL;
    UPDATE ledger_entries SET customer_key = open_erasure.pseudonym
    WHERE entry_id IN (
        SELECT entry_id FROM ledger_entries WHERE customer_key = ANY (open_erasure.customer_keys) LIMIT most
    );
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$;

-- CREATE OR REPLACE keeps owners and grants, and drops settings.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION erase_ledger_entries(uuid, integer) SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION ledger_entries_allow_erasure() SET search_path = %I, pg_temp', current_schema());
END $$;
