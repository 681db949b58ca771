-- External calls: webhooks that the notifier sends, and codes requested from external sources.
-- depends: 0002.ledger

CREATE TABLE webhook_endpoints (
    endpoint_id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    url                  text        NOT NULL,
    secret               text        NOT NULL,
    event_types          text[]      NOT NULL,
    status               text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    disabled_reason      text,
    consecutive_failures integer     NOT NULL DEFAULT 0,
    created_at           timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE webhook_deliveries (
    delivery_id     bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    endpoint_id     uuid        NOT NULL REFERENCES webhook_endpoints,
    event_id        uuid        NOT NULL,
    type            text        NOT NULL,
    payload         text        NOT NULL,   -- the exact bytes that are signed and sent
    status          text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    delivered_at    timestamptz,
    UNIQUE (endpoint_id, event_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE status = 'pending';

CREATE TABLE webhook_attempts (
    delivery_id bigint      NOT NULL REFERENCES webhook_deliveries,
    attempt     integer     NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT now(),
    status_code integer,
    error       text,
    latency_ms  integer,
    PRIMARY KEY (delivery_id, attempt)
);

-- One row per call to an external coupon API, written before the call and completed after it, each in its own transaction.
CREATE TABLE external_requests (
    command_id      text        NOT NULL,
    campaign_id     text        NOT NULL,
    idempotency_key uuid        NOT NULL,
    status          text        NOT NULL DEFAULT 'asked' CHECK (status IN ('asked', 'answered', 'refused')),
    code            text,
    error           text,
    asked_at        timestamptz NOT NULL DEFAULT now(),
    answered_at     timestamptz,
    PRIMARY KEY (command_id, campaign_id)
);
