-- Customers' endpoints, what is owed to them, and every attempt to deliver it.

CREATE SCHEMA webhooks;
GRANT USAGE ON SCHEMA webhooks TO main_api, main_api_pipeline, webhook_delivery_pipeline;

CREATE TABLE webhooks.endpoints (
    id               uuid PRIMARY KEY,
    tenant_id        uuid NOT NULL,
    account_id       uuid NOT NULL REFERENCES core.accounts (id),
    url              text NOT NULL,
    events           text[] NOT NULL,
    secret           bytea NOT NULL,
    old_secret       bytea,
    old_secret_until timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    failing_since    timestamptz,
    disabled_at      timestamptz,
    disabled_reason  text,
    deleted_at       timestamptz
);
COMMENT ON COLUMN webhooks.endpoints.secret IS 'encrypted by the application';
CREATE INDEX ix_endpoints_account_id ON webhooks.endpoints (account_id) WHERE deleted_at IS NULL;

-- One fact owed to one address. id is derived from the fact and the address, so fanning out twice is a no-op.
-- target is what a slow or dead receiver is isolated by: the endpoint, or the account's callback host.
CREATE TABLE webhooks.deliveries (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    account_id      uuid NOT NULL,
    endpoint_id     uuid REFERENCES webhooks.endpoints (id),
    target          text NOT NULL,
    url             text NOT NULL,
    event_id        uuid NOT NULL,
    type            text NOT NULL,
    message_id      uuid,
    payload         text NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'succeeded', 'failed', 'cancelled')),
    attempts        smallint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    traceparent     text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    completed_at    timestamptz,
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL))
);
COMMENT ON COLUMN webhooks.deliveries.payload IS 'the exact bytes that are signed and sent';
CREATE INDEX ix_deliveries_due ON webhooks.deliveries (next_attempt_at) WHERE state = 'pending';
CREATE INDEX ix_deliveries_endpoint_id ON webhooks.deliveries (endpoint_id, created_at DESC, id DESC);
-- Old rows are purged by age; they lie in that order on disk, so the smallest of indexes will do.
CREATE INDEX ix_deliveries_created_at ON webhooks.deliveries USING brin (created_at);

CREATE TABLE webhooks.webhook_delivery_attempts (
    delivery_id uuid NOT NULL REFERENCES webhooks.deliveries (id) ON DELETE CASCADE,
    attempt     smallint NOT NULL,
    tenant_id   uuid NOT NULL,
    started_at  timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    status_code smallint,
    error       text,
    response    text,
    PRIMARY KEY (delivery_id, attempt)
);
COMMENT ON COLUMN webhooks.webhook_delivery_attempts.response IS 'the first part of the answer, for the customer to debug with';

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['endpoints', 'deliveries', 'webhook_delivery_attempts'] LOOP
        EXECUTE format('ALTER TABLE webhooks.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE webhooks.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON webhooks.%I TO main_api USING (tenant_id = core.current_tenant())', t);
        EXECUTE format('CREATE POLICY pipeline ON webhooks.%I TO main_api_pipeline, webhook_delivery_pipeline, sema_owner USING (true)', t);
    END LOOP;
END
$$;

GRANT SELECT ON webhooks.endpoints, webhooks.deliveries, webhooks.webhook_delivery_attempts TO main_api;
GRANT SELECT, INSERT, UPDATE ON webhooks.endpoints TO main_api_pipeline;
GRANT SELECT ON webhooks.deliveries, webhooks.webhook_delivery_attempts TO main_api_pipeline;
GRANT SELECT ON webhooks.endpoints TO webhook_delivery_pipeline;
GRANT UPDATE (failing_since, disabled_at, disabled_reason) ON webhooks.endpoints TO webhook_delivery_pipeline;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks.deliveries TO webhook_delivery_pipeline;
GRANT SELECT, INSERT ON webhooks.webhook_delivery_attempts TO webhook_delivery_pipeline;
