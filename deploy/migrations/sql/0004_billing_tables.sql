-- Who has how much, every movement of it, and what a segment costs.

CREATE SCHEMA billing;
GRANT USAGE ON SCHEMA billing TO main_api, main_api_pipeline, sms_worker_pipeline, dlr_processor_pipeline,
    content_worker_pipeline;

-- The balance: one row per account that pays. The check is the last wall against selling what is not there.
CREATE TABLE billing.credits (
    account_id   uuid PRIMARY KEY REFERENCES core.accounts (id),
    tenant_id    uuid NOT NULL,
    currency     char(3) NOT NULL,
    balance      numeric(18, 4) NOT NULL DEFAULT 0,
    credit_limit numeric(18, 4) NOT NULL DEFAULT 0 CHECK (credit_limit >= 0),
    CHECK (balance + credit_limit >= 0)
);

-- Every movement, as one side of a transfer: `amount` reaches the account (negative: leaves it) and the
-- counter-account moves by the opposite, so the whole book sums to zero by construction.
-- One entry per kind and reference: a charge or refund that is repeated is a no-op.
CREATE TABLE billing.credit_ledger (
    entry_id        bigint GENERATED ALWAYS AS IDENTITY,
    account_id      uuid NOT NULL,
    tenant_id       uuid NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('opening', 'top_up', 'charge', 'refund', 'reserve', 'release',
                        'adjustment', 'commission')),
    reference       uuid NOT NULL,
    amount          numeric(18, 4) NOT NULL,
    counter_account text NOT NULL CHECK (counter_account IN ('revenue', 'reservations', 'mpesa_clearing',
                        'adjustments', 'commissions')),
    balance_after   numeric(18, 4) NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reference, kind)
);
COMMENT ON COLUMN billing.credit_ledger.reference IS 'the message, campaign, top-up or adjustment that it is about';
CREATE INDEX ix_credit_ledger_account_id ON billing.credit_ledger (account_id, entry_id);

-- Price of one segment. The most specific row wins: account before tier-wide, MNO before the country's '*'.
CREATE TABLE billing.pricing_tiers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id uuid REFERENCES core.accounts (id),
    tier       text CHECK (tier IN ('starter', 'growth', 'enterprise')),
    country    char(2) NOT NULL,
    mno        text NOT NULL DEFAULT '*',
    currency   char(3) NOT NULL,
    price      numeric(18, 4) NOT NULL CHECK (price >= 0),
    valid_from timestamptz NOT NULL DEFAULT now(),
    valid_to   timestamptz,
    CHECK (valid_to IS NULL OR valid_to > valid_from)
);
CREATE INDEX ix_pricing_tiers_country ON billing.pricing_tiers (country, currency);

-- The list prices that a new installation starts with, in KES a segment; staff replace them.
INSERT INTO billing.pricing_tiers (country, mno, currency, price, valid_from) VALUES
    ('KE', 'Safaricom', 'KES', 0.8000, '2026-01-01'), ('KE', 'Airtel', 'KES', 0.9000, '2026-01-01'),
    ('KE', '*', 'KES', 1.0000, '2026-01-01'), ('UG', '*', 'KES', 3.5000, '2026-01-01'),
    ('TZ', '*', 'KES', 3.2000, '2026-01-01'), ('RW', '*', 'KES', 2.8000, '2026-01-01');

ALTER TABLE billing.credits ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing.credits FORCE ROW LEVEL SECURITY;
ALTER TABLE billing.credit_ledger ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing.credit_ledger FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON billing.credits TO main_api USING (tenant_id = core.current_tenant());
CREATE POLICY tenant ON billing.credit_ledger TO main_api USING (tenant_id = core.current_tenant());
CREATE POLICY pipeline ON billing.credits TO main_api_pipeline, sms_worker_pipeline, dlr_processor_pipeline,
    content_worker_pipeline, sema_owner USING (true);
CREATE POLICY pipeline ON billing.credit_ledger TO main_api_pipeline, sms_worker_pipeline, dlr_processor_pipeline,
    content_worker_pipeline, sema_owner USING (true);

GRANT SELECT ON billing.credits, billing.credit_ledger, billing.pricing_tiers TO main_api;
GRANT SELECT, INSERT, UPDATE ON billing.credits, billing.pricing_tiers TO main_api_pipeline;
GRANT SELECT, INSERT ON billing.credit_ledger TO main_api_pipeline;
GRANT SELECT, UPDATE (balance) ON billing.credits TO sms_worker_pipeline, dlr_processor_pipeline, content_worker_pipeline;
GRANT SELECT, INSERT ON billing.credit_ledger TO sms_worker_pipeline, dlr_processor_pipeline, content_worker_pipeline;
