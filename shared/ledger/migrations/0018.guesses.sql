-- Wrong guesses over HTTP (unknown codes, locks, customers), counted by all gateways together. One row per caller or
-- address and slot of five seconds, deleted a minute later. Losing the table does no harm, hence UNLOGGED. The
-- index on jobs finds the coupons that a caller's jobs still have to make.
-- depends: 0013.jobs

CREATE UNLOGGED TABLE http_guesses (
    subject text    NOT NULL,   -- 'caller …' or 'address …'
    slot    bigint  NOT NULL,   -- seconds since 1970 divided by five
    guesses integer NOT NULL CHECK (guesses > 0),
    PRIMARY KEY (subject, slot)
);
CREATE INDEX http_guesses_slot ON http_guesses (slot);

GRANT SELECT ON http_guesses TO couponry_owner, couponry_service;
GRANT INSERT, UPDATE, DELETE ON http_guesses TO couponry_service;

CREATE INDEX jobs_open_by_caller ON jobs (caller) WHERE status IN ('waiting', 'running');
