-- Messages, their history, every attempt to submit them, and idempotency keys.

CREATE SCHEMA orch;
GRANT USAGE ON SCHEMA orch TO main_api, main_api_pipeline, sms_worker_pipeline, dlr_processor_pipeline;

-- How far a status has climbed; a report may only move a message upwards. Same table as sema_common.messages.status.
CREATE FUNCTION orch.status_rank(status text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE status WHEN 'submitted' THEN 0 WHEN 'queued' THEN 1 WHEN 'sent' THEN 2
                       WHEN 'failed' THEN 3 WHEN 'expired' THEN 3 WHEN 'delivered' THEN 4 END
$$;

-- One row per SMS. message_id is a UUIDv7 whose millisecond is enqueued_at, so that every statement that
-- knows the id also knows the partition. `status` is a projection of orch.message_events.
CREATE TABLE orch.sms_messages (
    message_id         uuid NOT NULL,
    enqueued_at        timestamptz NOT NULL,
    tenant_id          uuid NOT NULL,
    account_id         uuid NOT NULL,
    billing_account_id uuid NOT NULL,
    campaign_id        uuid,
    to_msisdn          text NOT NULL,
    from_sender        text NOT NULL,
    body               text NOT NULL,
    message_type       text NOT NULL CHECK (message_type IN ('SMS', 'FLASH_SMS')),
    lane               text NOT NULL CHECK (lane IN ('normal', 'priority')),
    test               boolean NOT NULL DEFAULT false,
    encoding           text NOT NULL,
    segment_count      smallint NOT NULL,
    cost               numeric(18, 4) NOT NULL,
    currency           char(3) NOT NULL,
    country            char(2) NOT NULL,
    operator_id        text,
    route_id           text,
    aggregator_id      text,
    status             text NOT NULL CHECK (status IN ('submitted', 'queued', 'sent', 'delivered', 'failed', 'expired')),
    attempt_count      smallint NOT NULL DEFAULT 0,
    idempotency_hash   text,
    last_error         jsonb,
    metadata           jsonb,
    callback_url       text,
    traceparent        text,
    valid_until        timestamptz NOT NULL,
    queued_at          timestamptz,
    sent_at            timestamptz,
    delivered_at       timestamptz,
    processed_at       timestamptz,
    status_updated_at  timestamptz NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (message_id, enqueued_at)
) PARTITION BY RANGE (enqueued_at);
COMMENT ON COLUMN orch.sms_messages.operator_id IS 'the MNO';
COMMENT ON COLUMN orch.sms_messages.route_id IS 'the aggregator route that it was submitted through';
COMMENT ON COLUMN orch.sms_messages.processed_at IS 'when its status became final';
CREATE INDEX ix_sms_messages_tenant_id_status ON orch.sms_messages (tenant_id, status);
CREATE INDEX ix_sms_messages_account_id_enqueued_at ON orch.sms_messages (account_id, enqueued_at DESC);
CREATE INDEX ix_sms_messages_idempotency_hash ON orch.sms_messages (idempotency_hash) WHERE idempotency_hash IS NOT NULL;
CREATE INDEX ix_sms_messages_operator_id_status ON orch.sms_messages (operator_id, status);
-- What is still to be published: the table is its own outbox, and this index its queue.
CREATE INDEX ix_sms_messages_submitted ON orch.sms_messages (enqueued_at) WHERE status = 'submitted';

-- The history, append-only. event_key ('sent:1') makes repeating an event a no-op.
CREATE TABLE orch.message_events (
    message_id  uuid NOT NULL,
    enqueued_at timestamptz NOT NULL,
    tenant_id   uuid NOT NULL,
    event_key   text NOT NULL,
    status      text NOT NULL,
    occurred_at timestamptz NOT NULL,
    source      text NOT NULL,
    detail      jsonb,
    PRIMARY KEY (message_id, event_key, enqueued_at)
) PARTITION BY RANGE (enqueued_at);
COMMENT ON COLUMN orch.message_events.status IS 'a message status, or in_doubt, retry, late and the like, which move no status';

-- One row per attempt to submit. Inserting it is the claim: only who inserted it may call the aggregator.
CREATE TABLE orch.submit_attempts (
    message_id    uuid NOT NULL,
    attempt       smallint NOT NULL,
    tenant_id     uuid NOT NULL,
    lane          text NOT NULL,
    aggregator    text NOT NULL,
    state         text NOT NULL CHECK (state IN ('claimed', 'accepted', 'refused', 'not_sent', 'in_doubt', 'settled')),
    aggregator_id text,
    code          text,
    detail        text,
    claimed_at    timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    due_at        timestamptz,
    PRIMARY KEY (message_id, attempt)
);
COMMENT ON COLUMN orch.submit_attempts.due_at IS
    'when the sweep must look: a claim nobody finished, a retry whose time has come, a doubt to settle; NULL when done';
CREATE INDEX ix_submit_attempts_due ON orch.submit_attempts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX ix_submit_attempts_aggregator_id ON orch.submit_attempts (aggregator, aggregator_id)
    WHERE aggregator_id IS NOT NULL;

CREATE TABLE orch.idempotency_keys (
    hash          text PRIMARY KEY,
    tenant_id     uuid NOT NULL,
    account_id    uuid NOT NULL,
    message_id    uuid,
    resource_type text NOT NULL,
    resource_id   uuid,
    fingerprint   bytea NOT NULL,
    http_status   smallint NOT NULL,
    response_body jsonb NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL
);
COMMENT ON COLUMN orch.idempotency_keys.hash IS 'sha256(accountId || '':'' || key), hex';
COMMENT ON COLUMN orch.idempotency_keys.fingerprint IS 'sha256 of method, path and body: same key, other body is refused';
CREATE INDEX ix_idempotency_keys_expires_at ON orch.idempotency_keys (expires_at);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['sms_messages', 'message_events', 'submit_attempts', 'idempotency_keys'] LOOP
        EXECUTE format('ALTER TABLE orch.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE orch.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON orch.%I TO main_api USING (tenant_id = core.current_tenant())', t);
        EXECUTE format('CREATE POLICY pipeline ON orch.%I TO main_api_pipeline, sms_worker_pipeline,
            dlr_processor_pipeline, sema_owner USING (true)', t);
    END LOOP;
END
$$;

GRANT SELECT ON orch.sms_messages, orch.message_events TO main_api;
GRANT SELECT, INSERT, UPDATE ON orch.sms_messages, orch.idempotency_keys TO main_api_pipeline;
GRANT SELECT, INSERT ON orch.message_events TO main_api_pipeline;
GRANT DELETE ON orch.idempotency_keys TO main_api_pipeline;
GRANT SELECT ON orch.submit_attempts TO main_api_pipeline;
GRANT SELECT, INSERT, UPDATE, DELETE ON orch.submit_attempts TO sms_worker_pipeline;
-- What was accepted, for whom and at what price never changes; workers move where it stands.
GRANT SELECT ON orch.sms_messages TO sms_worker_pipeline, dlr_processor_pipeline;
GRANT UPDATE (status, status_updated_at, queued_at, sent_at, processed_at, route_id, aggregator_id, attempt_count,
    last_error, updated_at) ON orch.sms_messages TO sms_worker_pipeline;
GRANT UPDATE (status, status_updated_at, delivered_at, processed_at, last_error, updated_at)
    ON orch.sms_messages TO dlr_processor_pipeline;
GRANT SELECT, INSERT ON orch.message_events TO sms_worker_pipeline, dlr_processor_pipeline;
GRANT SELECT ON orch.submit_attempts TO dlr_processor_pipeline;

-- Makes the monthly partitions from last month to `ahead` months from now, for every partitioned table.
-- Called by the migration and every few hours by main-api, whose role owns nothing; returns the end of the newest
-- one. A partition is made apart and then attached: CREATE … PARTITION OF would lock the parent against everybody.
CREATE FUNCTION orch.ensure_partitions(ahead integer DEFAULT 3) RETURNS timestamptz
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    parent regclass;
    first  timestamptz := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    start  timestamptz;
    stop   timestamptz;
    child  text;
BEGIN
    IF ahead NOT BETWEEN 1 AND 24 THEN
        RAISE EXCEPTION 'ahead must be 1 to 24 months';
    END IF;
    -- Two instances may call at the same time.
    PERFORM pg_advisory_xact_lock(hashtext('orch.ensure_partitions'));
    FOR parent IN SELECT partrelid::regclass FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
                  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('orch', 'dlr') LOOP
        FOR i IN -1..ahead LOOP
            start := (first AT TIME ZONE 'UTC' + make_interval(months => i)) AT TIME ZONE 'UTC';
            stop := (first AT TIME ZONE 'UTC' + make_interval(months => i + 1)) AT TIME ZONE 'UTC';
            child := format('%s_%s', parent, to_char(start AT TIME ZONE 'UTC', 'YYYY_MM'));
            IF to_regclass(child) IS NULL THEN
                EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL)', child, parent);
                EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', parent, child, start, stop);
            END IF;
        END LOOP;
    END LOOP;
    RETURN stop;
END
$$;
REVOKE ALL ON FUNCTION orch.ensure_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION orch.ensure_partitions(integer) TO main_api_pipeline;
