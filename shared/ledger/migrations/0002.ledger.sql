-- The permanent record (transfers and the journal) and the events to publish (the outbox).
-- depends: 0001.definitions

-- One row per change of a coupon. The four numbers are signed, so that every meter is a sum.
CREATE TABLE transfers (
    transfer_id    bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    recorded_at    timestamptz NOT NULL,
    kind           text        NOT NULL CHECK (kind IN ('issued', 'locked', 'released', 'burned', 'restored', 'voided')),
    coupon_id      uuid        NOT NULL,
    campaign_id    text        NOT NULL,
    customer_key   uuid,
    order_id       text,
    lock_reference text,
    redemption_id  uuid,
    command_id     text        NOT NULL,
    held_uses      integer     NOT NULL,
    used_uses      integer     NOT NULL,
    held_minor     bigint      NOT NULL,
    used_minor     bigint      NOT NULL,
    currency       text,
    lines          jsonb,      -- [[line id, discount in minor units], …]
    round          smallint    -- number of earlier restores of this coupon to this order; null without an order
);
CREATE INDEX transfers_coupon_id ON transfers (coupon_id);
-- A second check in addition to the journal: an order uses a coupon once and gets it back once per round.
CREATE UNIQUE INDEX transfers_order_coupon ON transfers (order_id, coupon_id, kind, round) WHERE kind IN ('burned', 'restored');

CREATE FUNCTION transfers_are_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'transfers are append-only: % is not allowed; write a new entry that says otherwise', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER transfers_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION transfers_are_for_good();

-- The verdict of every command ever executed. A repeated command gets the recorded verdict.
CREATE TABLE journal (
    command_id  text        PRIMARY KEY,
    fingerprint bytea       NOT NULL,
    kind        text        NOT NULL,
    outcome     text        NOT NULL,
    reasons     text[]      NOT NULL DEFAULT '{}',
    order_id    text,
    verdict     json        NOT NULL,
    decided_at  timestamptz NOT NULL
);
CREATE INDEX journal_refused ON journal (decided_at) WHERE reasons <> '{}';
CREATE INDEX journal_reasons ON journal USING gin (reasons) WHERE reasons <> '{}';

-- The events, in commit order: a writer holds an advisory lock from before its first position until the commit.
CREATE TABLE outbox (
    position    bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    event_id    uuid        NOT NULL,
    topic       text        NOT NULL,
    key         text        NOT NULL,
    type        text        NOT NULL,
    source      text        NOT NULL,
    subject     text        NOT NULL,
    time        timestamptz NOT NULL,
    traceparent text,
    data        json        NOT NULL
);
