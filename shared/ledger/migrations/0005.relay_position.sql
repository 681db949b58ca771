-- The relay's position, kept in addition to the broker's offsets, which expire and can be lost.
-- depends: 0004.roles

-- One row per relay group. The offset committed in the relay's Kafka transactions is authoritative; this follows it.
CREATE TABLE relay_positions (
    relay           text        PRIMARY KEY,   -- its transactional id
    published_up_to bigint      NOT NULL DEFAULT 0 CHECK (published_up_to >= 0),
    leader          uuid,                      -- the process that publishes
    holds_lock      boolean     NOT NULL DEFAULT false,
    alive_at        timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT ON relay_positions TO couponry_owner, couponry_service, couponry_readonly;
GRANT INSERT, UPDATE ON relay_positions TO couponry_service;
