-- Which aggregator carries what: staff's order and switches, accounts' own rules, and why an attempt went its way.

-- One row per aggregator, in the order of preference. Written by main-api for staff, read by sms-worker.
CREATE TABLE core.routes (
    aggregator text PRIMARY KEY CHECK (aggregator ~ '^[a-z]{2,40}$'),
    rank       smallint NOT NULL,
    enabled    boolean NOT NULL DEFAULT true,
    per_second integer CHECK (per_second > 0),
    unserved   text[] NOT NULL DEFAULT '{}',
    changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN core.routes.per_second IS 'messages a second, all workers together; NULL: not paced';
COMMENT ON COLUMN core.routes.unserved IS 'networks that it does not reach, such as KE:Telkom';
INSERT INTO core.routes (aggregator, rank) VALUES ('celcom', 1), ('africastalking', 2);

-- An account's own rule. mode: preferred is tried first, forced is the only one; switched_off is never used for it.
CREATE TABLE core.account_routes (
    account_id   uuid PRIMARY KEY REFERENCES core.accounts (id) ON DELETE CASCADE,
    tenant_id    uuid NOT NULL,
    aggregator   text REFERENCES core.routes (aggregator),
    mode         text CHECK (mode IN ('preferred', 'forced')),
    switched_off text[] NOT NULL DEFAULT '{}',
    changed_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((aggregator IS NULL) = (mode IS NULL)),
    CHECK (aggregator IS NULL OR NOT aggregator = ANY (switched_off))
);
ALTER TABLE core.account_routes ENABLE ROW LEVEL SECURITY;
ALTER TABLE core.account_routes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON core.account_routes TO main_api USING (tenant_id = core.current_tenant());
CREATE POLICY pipeline ON core.account_routes TO main_api_pipeline, sms_worker_pipeline, sema_owner USING (true);

GRANT SELECT, INSERT, UPDATE ON core.routes TO main_api_pipeline;
GRANT SELECT, INSERT, UPDATE, DELETE ON core.account_routes TO main_api_pipeline;
GRANT SELECT ON core.routes, core.account_routes TO sms_worker_pipeline;

-- `waiting`: claimed by nobody until due_at, because the only route that may carry it is shut.
ALTER TABLE orch.submit_attempts ADD COLUMN choice jsonb;
COMMENT ON COLUMN orch.submit_attempts.choice IS 'why this aggregator, and what was passed over';
-- A claim takes a waiting row over; staff's discard of a job claims too.
GRANT UPDATE (aggregator, choice, claimed_at) ON orch.submit_attempts TO main_api_pipeline;
ALTER TABLE orch.submit_attempts DROP CONSTRAINT submit_attempts_state_check;
ALTER TABLE orch.submit_attempts ADD CONSTRAINT submit_attempts_state_check CHECK (state IN
    ('waiting', 'claimed', 'accepted', 'refused', 'not_sent', 'in_doubt', 'settled')) NOT VALID;
ALTER TABLE orch.submit_attempts VALIDATE CONSTRAINT submit_attempts_state_check;
