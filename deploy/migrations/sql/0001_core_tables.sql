-- Accounts, users, keys, senders, registries, contacts and campaigns; the audit log and kept dead letters.

CREATE SCHEMA IF NOT EXISTS core;
GRANT USAGE ON SCHEMA core TO main_api, main_api_pipeline, sms_worker_pipeline, dlr_processor_pipeline,
    phone_validator_pipeline, content_worker_pipeline, webhook_delivery_pipeline;

-- The tenant of the current transaction, NULL when none is set (a GUC once set reads '' afterwards, not NULL).
CREATE FUNCTION core.current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT NULLIF(current_setting('app.tenant_id', true), '')::uuid $$;

-- A customer, an agent, or an agent's customer. tenant_id is the agent, or the account itself;
-- billing_account_id is who pays: the agent for an agent's customer, else the account itself.
CREATE TABLE core.accounts (
    id                  uuid PRIMARY KEY,
    tenant_id           uuid NOT NULL,
    billing_account_id  uuid NOT NULL REFERENCES core.accounts (id) DEFERRABLE INITIALLY DEFERRED,
    name                text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    type                text NOT NULL CHECK (type IN ('direct', 'agent', 'agent_customer')),
    tier                text NOT NULL CHECK (tier IN ('starter', 'growth', 'enterprise')),
    status              text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    currency            char(3) NOT NULL,
    rate_per_second     integer CHECK (rate_per_second > 0),
    rate_burst          integer CHECK (rate_burst > 0),
    priority_per_second integer CHECK (priority_per_second > 0),
    refund_undelivered  boolean NOT NULL DEFAULT false,
    webhook_secret      bytea NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    CHECK ((type = 'agent_customer') = (billing_account_id <> id))
);
COMMENT ON COLUMN core.accounts.rate_per_second IS 'NULL: the tier decides; staff may set another rate';
COMMENT ON COLUMN core.accounts.webhook_secret IS 'signs callback_url deliveries; encrypted by the application';
CREATE INDEX ix_accounts_tenant_id ON core.accounts (tenant_id);

-- A person. Staff have no account; everyone else belongs to exactly one.
CREATE TABLE core.users (
    id            uuid PRIMARY KEY,
    tenant_id     uuid,
    account_id    uuid REFERENCES core.accounts (id),
    email         text NOT NULL CHECK (email = lower(email)),
    name          text NOT NULL DEFAULT '',
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'viewer', 'staff_admin', 'staff_support')),
    disabled_at   timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((role LIKE 'staff%') = (account_id IS NULL)),
    CHECK ((account_id IS NULL) = (tenant_id IS NULL))
);
CREATE UNIQUE INDEX uq_users_email ON core.users (email);
CREATE INDEX ix_users_account_id ON core.users (account_id);

-- Only the SHA-256 of a key is kept: 178 bits of randomness need no slow hash.
CREATE TABLE core.api_keys (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL,
    account_id   uuid NOT NULL REFERENCES core.accounts (id),
    name         text NOT NULL DEFAULT '',
    mode         text NOT NULL CHECK (mode IN ('live', 'test')),
    prefix       text NOT NULL,
    last4        text NOT NULL,
    hash         bytea NOT NULL,
    scopes       text[] NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz
);
CREATE UNIQUE INDEX uq_api_keys_hash ON core.api_keys (hash);
CREATE INDEX ix_api_keys_account_id ON core.api_keys (account_id);

CREATE TABLE core.sender_ids (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    account_id uuid NOT NULL REFERENCES core.accounts (id),
    sender     text NOT NULL CHECK (length(sender) BETWEEN 1 AND 15),
    skeleton   text NOT NULL,
    status     text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'rejected')),
    reason     text,
    created_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz
);
COMMENT ON COLUMN core.sender_ids.skeleton IS 'TR39 skeleton, for look-alike matching only; never shown';
CREATE UNIQUE INDEX uq_sender_ids_account_id_sender ON core.sender_ids (account_id, sender);
CREATE INDEX ix_sender_ids_skeleton ON core.sender_ids (skeleton);

-- Longest prefix wins inside a source; source 'curated' beats 'libphonenumber'.
CREATE TABLE core.mno_prefixes (
    prefix       text NOT NULL CHECK (prefix ~ '^[1-9][0-9]{1,14}$'),
    source       text NOT NULL CHECK (source IN ('curated', 'libphonenumber')),
    country      char(2) NOT NULL,
    calling_code text NOT NULL,
    mno          text NOT NULL,
    note         text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (prefix, source)
);

CREATE TABLE core.content_blocklist (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('word', 'pattern', 'shortener')),
    value      text NOT NULL CHECK (length(value) BETWEEN 1 AND 500),
    language   text NOT NULL DEFAULT 'any',
    whole_word boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, value)
);

CREATE TABLE core.contact_lists (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    account_id      uuid NOT NULL REFERENCES core.accounts (id),
    name            text NOT NULL,
    default_country char(2),
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_contact_lists_account_id ON core.contact_lists (account_id, id DESC);

CREATE TABLE core.contact_validation_jobs (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    account_id      uuid NOT NULL REFERENCES core.accounts (id),
    contact_list_id uuid NOT NULL REFERENCES core.contact_lists (id) ON DELETE CASCADE,
    status          text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'completed', 'failed', 'aborted')),
    total           integer NOT NULL DEFAULT 0,
    processed       integer NOT NULL DEFAULT 0,
    valid           integer NOT NULL DEFAULT 0,
    invalid         integer NOT NULL DEFAULT 0,
    by_mno          jsonb NOT NULL DEFAULT '{}',
    by_reason       jsonb NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz
);
CREATE INDEX ix_contact_validation_jobs_list ON core.contact_validation_jobs (contact_list_id);

CREATE TABLE core.contacts (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    account_id      uuid NOT NULL REFERENCES core.accounts (id),
    contact_list_id uuid NOT NULL REFERENCES core.contact_lists (id) ON DELETE CASCADE,
    job_id          uuid REFERENCES core.contact_validation_jobs (id) ON DELETE SET NULL,
    phone           text NOT NULL,
    name            text,
    attributes      jsonb NOT NULL DEFAULT '{}',
    validity        text NOT NULL DEFAULT 'pending' CHECK (validity IN ('pending', 'valid', 'invalid')),
    msisdn          text,
    country         char(2),
    mno             text,
    mno_tier        smallint,
    reason          text,
    suggestion      text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    validated_at    timestamptz
);
COMMENT ON COLUMN core.contacts.phone IS 'as the customer gave it; msisdn is the E.164 form once validated';
CREATE INDEX ix_contacts_list_validity ON core.contacts (contact_list_id, validity, id);
CREATE INDEX ix_contacts_job_pending ON core.contacts (job_id, id) WHERE validity = 'pending';

CREATE TABLE core.campaigns (
    id                 uuid PRIMARY KEY,
    tenant_id          uuid NOT NULL,
    account_id         uuid NOT NULL REFERENCES core.accounts (id),
    billing_account_id uuid NOT NULL REFERENCES core.accounts (id),
    contact_list_id    uuid NOT NULL REFERENCES core.contact_lists (id),
    name               text NOT NULL,
    sender             text NOT NULL,
    message            text NOT NULL,
    status             text NOT NULL DEFAULT 'submitted' CHECK (status IN ('submitted', 'pending_content_check',
                           'approved', 'scheduled', 'queued', 'sending', 'paused', 'completed', 'rejected', 'cancelled')),
    send_at            timestamptz,
    currency           char(3) NOT NULL,
    reserved           numeric(18, 4) NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    rejection_reasons  jsonb,
    created_at         timestamptz NOT NULL DEFAULT now(),
    screened_at        timestamptz,
    completed_at       timestamptz
);
CREATE INDEX ix_campaigns_account_id ON core.campaigns (account_id, id DESC);
CREATE INDEX ix_campaigns_due ON core.campaigns (send_at) WHERE status = 'scheduled';

-- Append-only: who did what, when, with what before and after. No UPDATE or DELETE is granted to anyone.
CREATE TABLE core.audit_log (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT now(),
    actor        text NOT NULL,
    actor_id     uuid,
    action       text NOT NULL,
    subject_type text NOT NULL,
    subject_id   text NOT NULL,
    account_id   uuid,
    before       jsonb,
    after        jsonb,
    reason       text,
    request_id   text
);
CREATE INDEX ix_audit_log_subject ON core.audit_log (subject_type, subject_id, id DESC);

-- What a room took out of its dead-letter queue, kept until staff decide.
CREATE TABLE core.dead_letters (
    id             uuid PRIMARY KEY,
    queue          text NOT NULL,
    reason         text NOT NULL,
    type           text,
    version        text,
    headers        jsonb NOT NULL,
    body           bytea NOT NULL,
    delivery_count integer NOT NULL DEFAULT 0,
    dead_at        timestamptz NOT NULL,
    state          text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'republished', 'discarded')),
    decided_at     timestamptz,
    decided_by     text
);
COMMENT ON COLUMN core.dead_letters.id IS 'derived from queue and AMQP message id: keeping twice is a no-op';
CREATE INDEX ix_dead_letters_queue_state ON core.dead_letters (queue, state, id DESC);

-- Row-level security: main_api sees one tenant, pipeline roles see what their grants name.
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['accounts', 'users', 'api_keys', 'sender_ids', 'contact_lists',
                             'contact_validation_jobs', 'contacts', 'campaigns'] LOOP
        EXECUTE format('ALTER TABLE core.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE core.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON core.%I TO main_api USING (tenant_id = core.current_tenant())', t);
        EXECUTE format('CREATE POLICY pipeline ON core.%I TO main_api_pipeline, sms_worker_pipeline, dlr_processor_pipeline,
            phone_validator_pipeline, content_worker_pipeline, webhook_delivery_pipeline, sema_owner USING (true)', t);
    END LOOP;
END
$$;

GRANT SELECT ON core.accounts, core.users, core.api_keys, core.sender_ids, core.contact_lists, core.contacts,
    core.contact_validation_jobs, core.campaigns TO main_api;
GRANT SELECT ON core.mno_prefixes TO main_api;
GRANT SELECT, INSERT, UPDATE ON core.accounts, core.users, core.api_keys, core.sender_ids, core.contact_lists,
    core.contacts, core.contact_validation_jobs, core.campaigns, core.mno_prefixes, core.content_blocklist,
    core.dead_letters TO main_api_pipeline;
GRANT DELETE ON core.contact_lists, core.contacts, core.mno_prefixes, core.content_blocklist TO main_api_pipeline;
GRANT SELECT, INSERT ON core.audit_log TO main_api_pipeline;

GRANT SELECT, INSERT ON core.dead_letters TO sms_worker_pipeline, dlr_processor_pipeline,
    phone_validator_pipeline, content_worker_pipeline, webhook_delivery_pipeline;
GRANT SELECT (id, refund_undelivered) ON core.accounts TO dlr_processor_pipeline;
GRANT SELECT ON core.accounts TO webhook_delivery_pipeline;
GRANT SELECT ON core.mno_prefixes, core.contact_lists, core.contacts, core.contact_validation_jobs TO phone_validator_pipeline;
GRANT UPDATE (validity, msisdn, country, mno, mno_tier, reason, suggestion, validated_at) ON core.contacts TO phone_validator_pipeline;
GRANT UPDATE (status, processed, valid, invalid, by_mno, by_reason, started_at, finished_at)
    ON core.contact_validation_jobs TO phone_validator_pipeline;
GRANT SELECT ON core.content_blocklist, core.campaigns TO content_worker_pipeline;
GRANT UPDATE (status, rejection_reasons, reserved, screened_at) ON core.campaigns TO content_worker_pipeline;
