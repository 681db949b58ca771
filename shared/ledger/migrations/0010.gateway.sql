-- What the HTTP gateway needs: who may call, and what was answered under an idempotency key.
-- depends: 0009.returned_entries

CREATE TABLE api_keys (
    key_id      text        PRIMARY KEY,
    name        text        NOT NULL,
    secret_hash bytea       NOT NULL,   -- SHA-256; the secret itself is told once and kept nowhere
    scopes      text[]      NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz
);

-- One row a request that brought an Idempotency-Key. status and body are null until it was answered; then they are what
-- everybody gets who sends the same again. owner: the gateway process that answers it, which holds an advisory lock of
-- that number as long as it lives.
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
