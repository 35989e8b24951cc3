-- Accounting: the ledger added up by day, and what was charged by country, MNO and rate. Statements, invoices and
-- reports read these; nobody adds a million entries up while somebody waits.

-- Which transaction wrote an entry. Entries are added up once their transaction has ended, by windows of this number, so
-- each is counted exactly once whatever the order in which transactions commit.
ALTER TABLE billing.credit_ledger
    ADD COLUMN xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX ix_credit_ledger_xid ON billing.credit_ledger (xid);

-- How far the adding up has come: every entry with a lower xid is in the tables below, and none of the others.
CREATE TABLE billing.accounting_cursor (
    single    boolean PRIMARY KEY DEFAULT true CHECK (single),
    until_xid bigint NOT NULL,
    at        timestamptz NOT NULL
);
COMMENT ON COLUMN billing.accounting_cursor.at IS 'when it was there: what was committed before is in';
INSERT INTO billing.accounting_cursor (until_xid, at) VALUES (0, now());

-- Movements of an account by UTC day. first_entry and last_entry say where in the ledger they lie.
CREATE TABLE billing.ledger_days (
    account_id      uuid NOT NULL,
    day             date NOT NULL,
    kind            text NOT NULL,
    counter_account text NOT NULL,
    tenant_id       uuid NOT NULL,
    entries         bigint NOT NULL,
    amount          numeric(18, 4) NOT NULL,
    first_entry     bigint NOT NULL,
    last_entry      bigint NOT NULL,
    PRIMARY KEY (account_id, day, kind, counter_account)
);

-- Charges and refunds by day of the entry: account_id paid, sent_by is whose messages they were (an agent's customer, or
-- the account itself). rate is what a segment cost. mno '' and country 'ZZ': the message is in no partition any more.
CREATE TABLE billing.usage_days (
    account_id         uuid NOT NULL,
    day                date NOT NULL,
    sent_by            uuid NOT NULL,
    country            char(2) NOT NULL,
    mno                text NOT NULL,
    rate               numeric(18, 4) NOT NULL,
    tenant_id          uuid NOT NULL,
    messages           bigint NOT NULL,
    segments           bigint NOT NULL,
    amount             numeric(18, 4) NOT NULL,
    refunded_messages  bigint NOT NULL,
    refunded_segments  bigint NOT NULL,
    refunded_amount    numeric(18, 4) NOT NULL,
    PRIMARY KEY (account_id, day, sent_by, country, mno, rate)
);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['ledger_days', 'usage_days'] LOOP
        EXECUTE format('ALTER TABLE billing.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE billing.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON billing.%I TO main_api USING (tenant_id = core.current_tenant())', t);
        EXECUTE format('CREATE POLICY pipeline ON billing.%I TO main_api_pipeline, sema_owner USING (true)', t);
    END LOOP;
END
$$;
GRANT SELECT ON billing.ledger_days, billing.accounting_cursor TO main_api;
GRANT SELECT, INSERT, UPDATE ON billing.ledger_days, billing.usage_days TO main_api_pipeline;
GRANT SELECT, UPDATE ON billing.accounting_cursor TO main_api_pipeline;
