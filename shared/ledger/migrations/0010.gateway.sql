-- Tables of the HTTP gateway: API keys, and the answers kept under idempotency keys.
-- depends: 0009.returned_entries

CREATE TABLE api_keys (
    key_id      text        PRIMARY KEY,
    name        text        NOT NULL,
    secret_hash bytea       NOT NULL,   -- SHA-256; the secret itself is shown once and not stored
    scopes      text[]      NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz
);

-- One row per request with an Idempotency-Key. status and body are null until it is answered; a retry then gets them
-- again. owner: the number of an advisory lock that the gateway process holds while it runs.
CREATE TABLE http_answers (
    caller          text        NOT NULL,
    idempotency_key text        NOT NULL,
    fingerprint     bytea       NOT NULL,
    owner           integer     NOT NULL,
    started_at      timestamptz NOT NULL DEFAULT now(),
    status          smallint,
    media_type      text,
    body            bytea,
    PRIMARY KEY (caller, idempotency_key)
);
CREATE INDEX http_answers_started_at ON http_answers (started_at);

GRANT SELECT ON api_keys, http_answers TO couponry_owner, couponry_service;
GRANT SELECT (key_id, name, scopes, created_at, revoked_at) ON api_keys TO couponry_readonly;
GRANT INSERT, UPDATE ON api_keys TO couponry_service;
GRANT INSERT, UPDATE, DELETE ON http_answers TO couponry_service;
