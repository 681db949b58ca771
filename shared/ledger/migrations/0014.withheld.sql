-- Events that can't be published, moved out of the outbox so that later events aren't blocked.
-- depends: 0013.jobs

CREATE TABLE outbox_withheld (
    position       bigint      PRIMARY KEY,   -- the position the event had in the outbox
    event_id       uuid        NOT NULL,
    topic          text        NOT NULL,
    key            text        NOT NULL,
    type           text        NOT NULL,
    source         text        NOT NULL,
    subject        text        NOT NULL,
    time           timestamptz NOT NULL,
    traceparent    text,
    data           json        NOT NULL,
    error_class    text        NOT NULL,
    error_text     text        NOT NULL,
    withheld_at    timestamptz NOT NULL DEFAULT now(),
    republished_at timestamptz                -- put into the outbox again, under a new position
);
CREATE INDEX outbox_withheld_open ON outbox_withheld (position) WHERE republished_at IS NULL;
CREATE INDEX outbox_withheld_republished ON outbox_withheld (republished_at) WHERE republished_at IS NOT NULL;

GRANT SELECT ON outbox_withheld TO couponry_owner, couponry_service, couponry_readonly;
GRANT INSERT, UPDATE, DELETE ON outbox_withheld TO couponry_service;
