-- Prices by account type and monthly volume; agents: their terms, customers, retail rates and what they sold at which
-- margin. An agent's customer pays nothing here: his sends draw on the agent's balance (wholesale), and what he owes his
-- agent (retail) is written beside it.

ALTER TABLE billing.pricing_tiers
    ADD COLUMN account_type text CHECK (account_type IN ('direct', 'agent')),
    ADD COLUMN min_segments bigint NOT NULL DEFAULT 0 CHECK (min_segments >= 0);
COMMENT ON COLUMN billing.pricing_tiers.account_type IS 'NULL: both';
COMMENT ON COLUMN billing.pricing_tiers.min_segments IS
    'the monthly volume from which it holds: segments that the billing account was charged for in this calendar month, UTC';

-- The volume of the month, kept where the charge is written, under the lock that the charge holds anyway.
ALTER TABLE billing.credits ADD COLUMN month date, ADD COLUMN month_segments bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN billing.credits.month_segments IS 'segments charged in `month`; refunds do not lower it';

-- What we have agreed with an agent.
CREATE TABLE billing.agents (
    account_id      uuid PRIMARY KEY REFERENCES core.accounts (id),
    tenant_id       uuid NOT NULL,
    commission_rate numeric(5, 4) NOT NULL DEFAULT 0 CHECK (commission_rate BETWEEN 0 AND 1)
);
COMMENT ON COLUMN billing.agents.commission_rate IS 'share of what his customers'' messages cost him, paid back monthly';

-- Who is whose customer, and how much he may spend a calendar month (UTC), at his retail rate.
CREATE TABLE billing.agent_accounts (
    customer_id   uuid PRIMARY KEY REFERENCES core.accounts (id),
    agent_id      uuid NOT NULL REFERENCES core.accounts (id) CHECK (agent_id <> customer_id),
    tenant_id     uuid NOT NULL,
    monthly_limit numeric(18, 4) CHECK (monthly_limit >= 0)
);
COMMENT ON COLUMN billing.agent_accounts.monthly_limit IS 'NULL: as far as the agent''s balance goes';
CREATE INDEX ix_agent_accounts_agent_id ON billing.agent_accounts (agent_id, customer_id DESC);

-- What an agent charges for a segment: of one customer, or (customer_id NULL) of all who have no rate of their own.
CREATE TABLE billing.agent_customer_pricing (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id    uuid NOT NULL REFERENCES core.accounts (id),
    customer_id uuid REFERENCES core.accounts (id),
    tenant_id   uuid NOT NULL,
    country     char(2) NOT NULL,
    mno         text NOT NULL DEFAULT '*',
    currency    char(3) NOT NULL,
    price       numeric(18, 4) NOT NULL CHECK (price >= 0),
    valid_from  timestamptz NOT NULL DEFAULT now(),
    valid_to    timestamptz,
    CHECK (valid_to IS NULL OR valid_to >= valid_from)
);
CREATE INDEX ix_agent_customer_pricing_agent_id ON billing.agent_customer_pricing (agent_id, customer_id);

-- One line for each charged message of an agent's customer: what the customer owes his agent (retail), what the agent was
-- charged (wholesale, the ledger's charge) and what of that comes back to him (commission).
CREATE TABLE billing.agent_sales (
    message_id  uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    agent_id    uuid NOT NULL,
    tenant_id   uuid NOT NULL,
    segments    smallint NOT NULL,
    retail      numeric(18, 4) NOT NULL,
    wholesale   numeric(18, 4) NOT NULL,
    commission  numeric(18, 4) NOT NULL,
    sold_at     timestamptz NOT NULL DEFAULT now(),
    refunded_at timestamptz
);

-- The same added up by customer and calendar month (UTC), in the transaction of the sale or of its refund: limits are
-- checked against it, commissions are paid by it.
CREATE TABLE billing.agent_months (
    customer_id          uuid NOT NULL,
    month                date NOT NULL,
    agent_id             uuid NOT NULL,
    tenant_id            uuid NOT NULL,
    messages             bigint NOT NULL DEFAULT 0,
    segments             bigint NOT NULL DEFAULT 0,
    retail               numeric(18, 4) NOT NULL DEFAULT 0,
    wholesale            numeric(18, 4) NOT NULL DEFAULT 0,
    commission           numeric(18, 4) NOT NULL DEFAULT 0,
    refunded_messages    bigint NOT NULL DEFAULT 0,
    refunded_segments    bigint NOT NULL DEFAULT 0,
    refunded_retail      numeric(18, 4) NOT NULL DEFAULT 0,
    refunded_wholesale   numeric(18, 4) NOT NULL DEFAULT 0,
    refunded_commission  numeric(18, 4) NOT NULL DEFAULT 0,
    PRIMARY KEY (customer_id, month)
);
COMMENT ON TABLE billing.agent_months IS 'refunds are in the month in which they were made';
CREATE INDEX ix_agent_months_agent_id ON billing.agent_months (agent_id, month);

CREATE INDEX ix_credit_ledger_commission ON billing.credit_ledger (account_id) WHERE kind = 'commission';

INSERT INTO billing.agents (account_id, tenant_id) SELECT id, tenant_id FROM core.accounts WHERE type = 'agent';
INSERT INTO billing.agent_accounts (customer_id, agent_id, tenant_id)
SELECT id, billing_account_id, tenant_id FROM core.accounts WHERE type = 'agent_customer';

-- What an agent's customers see in place of our name.
CREATE TABLE core.agent_branding (
    account_id    uuid PRIMARY KEY REFERENCES core.accounts (id),
    tenant_id     uuid NOT NULL,
    name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    logo_url      text,
    colour        text CHECK (colour ~ '^#[0-9a-f]{6}$'),
    support_email text,
    support_phone text,
    support_url   text
);

ALTER TABLE core.accounts ADD COLUMN suspended_by text CHECK (suspended_by IN ('agent', 'staff'));
COMMENT ON COLUMN core.accounts.suspended_by IS 'who may lift it: an agent only what an agent imposed; NULL: staff';

-- A campaign of an agent's customer: `estimate` and `cost` are retail, `reserved` is what the agent's balance holds.
ALTER TABLE core.campaign_parts ADD COLUMN wholesale jsonb;
COMMENT ON COLUMN core.campaign_parts.wholesale IS 'what a segment costs the agent, by MNO; NULL: the account pays itself';
COMMENT ON COLUMN core.campaigns.reserved IS
    'what is still held of the billing account: for an agent''s customer at wholesale, else the estimate less the cost';
CREATE INDEX ix_campaigns_holding ON core.campaigns (account_id) WHERE reserved > 0;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['billing.agents', 'billing.agent_accounts', 'billing.agent_customer_pricing',
                             'billing.agent_sales', 'billing.agent_months', 'core.agent_branding'] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %s TO main_api USING (tenant_id = core.current_tenant())', t);
        EXECUTE format('CREATE POLICY pipeline ON %s TO main_api_pipeline, sms_worker_pipeline, dlr_processor_pipeline,
            sema_owner USING (true)', t);
    END LOOP;
END
$$;
GRANT SELECT ON billing.agents, billing.agent_accounts, billing.agent_customer_pricing, billing.agent_sales,
    billing.agent_months, core.agent_branding TO main_api;
GRANT SELECT, INSERT, UPDATE ON billing.agents, billing.agent_accounts, billing.agent_customer_pricing,
    billing.agent_sales, billing.agent_months, core.agent_branding TO main_api_pipeline;
-- A refund is exact on both levels, whoever makes it.
GRANT SELECT, UPDATE (refunded_at) ON billing.agent_sales TO sms_worker_pipeline, dlr_processor_pipeline;
GRANT SELECT, INSERT, UPDATE ON billing.agent_months TO sms_worker_pipeline, dlr_processor_pipeline;
