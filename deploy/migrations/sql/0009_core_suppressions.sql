-- Who has opted out of whose messages. The primary key is what the accept transaction looks up.

CREATE TABLE core.suppressions (
    id         uuid NOT NULL,
    tenant_id  uuid NOT NULL,
    account_id uuid NOT NULL REFERENCES core.accounts (id),
    msisdn     text NOT NULL CHECK (msisdn ~ '^\+[1-9][0-9]{6,14}$'),
    scope      text NOT NULL DEFAULT 'promotional' CHECK (scope IN ('promotional', 'all')),
    reason     text CHECK (length(reason) <= 500),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, msisdn)
);
COMMENT ON COLUMN core.suppressions.scope IS 'promotional: the normal lane and campaigns; all: the priority lane too';
CREATE UNIQUE INDEX uq_suppressions_account_id_id ON core.suppressions (account_id, id DESC);

ALTER TABLE core.suppressions ENABLE ROW LEVEL SECURITY;
ALTER TABLE core.suppressions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON core.suppressions TO main_api USING (tenant_id = core.current_tenant());
CREATE POLICY pipeline ON core.suppressions TO main_api_pipeline, sema_owner USING (true);

GRANT SELECT ON core.suppressions TO main_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON core.suppressions TO main_api_pipeline;
