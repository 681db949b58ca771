-- Long work requested over HTTP: done in parts by the gateway that has the lease.
-- depends: 0012.webhooks

CREATE TABLE jobs (
    job_id      uuid        PRIMARY KEY,
    caller      text        NOT NULL,
    campaign_id text        NOT NULL,
    total       integer     NOT NULL CHECK (total > 0),
    done        integer     NOT NULL DEFAULT 0 CHECK (done >= 0 AND done <= total),
    status      text        NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'running', 'done', 'failed')),
    problem     text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz
);
CREATE INDEX jobs_open ON jobs (created_at) WHERE status IN ('waiting', 'running');

GRANT SELECT ON jobs TO couponry_owner, couponry_service, couponry_readonly;
GRANT INSERT, UPDATE ON jobs TO couponry_service;
