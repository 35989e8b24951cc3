-- Invoices: who they are made out to, numbers without gaps, what is on them, and how a payment is asked for.

-- What a customer wants on his invoices; without it they bear the account's name.
CREATE TABLE billing.profiles (
    account_id uuid PRIMARY KEY REFERENCES core.accounts (id),
    tenant_id  uuid NOT NULL,
    legal_name text NOT NULL CHECK (length(legal_name) BETWEEN 1 AND 200),
    address    text NOT NULL DEFAULT '',
    country    char(2) NOT NULL DEFAULT 'KE',
    tax_pin    text NOT NULL DEFAULT '',
    vat_number text NOT NULL DEFAULT '',
    reference  text NOT NULL DEFAULT '',
    email      text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN billing.profiles.reference IS 'the customer''s own, such as a purchase order';
COMMENT ON COLUMN billing.profiles.email IS 'who gets invoices and reminders; NULL: the account''s owners';

-- The last number given in a series and year: raised in the transaction that makes the invoices, so a number that is not
-- on an invoice does not exist.
CREATE TABLE billing.invoice_numbers (
    series text NOT NULL,
    year   smallint NOT NULL,
    last   integer NOT NULL,
    PRIMARY KEY (series, year)
);

-- One run a month. Accounts up to `cursor` have their invoice, or need none.
CREATE TABLE billing.invoice_runs (
    month       date PRIMARY KEY CHECK (extract(day FROM month) = 1),
    cursor      uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    invoices    integer NOT NULL DEFAULT 0,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

-- Final from its first moment: what is on it never changes, only how far its payment is.
CREATE TABLE billing.invoices (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL,
    account_id   uuid NOT NULL REFERENCES core.accounts (id),
    month        date NOT NULL,
    series       text NOT NULL,
    year         smallint NOT NULL,
    number       integer NOT NULL CHECK (number > 0),
    currency     char(3) NOT NULL,
    net          numeric(18, 2) NOT NULL,
    vat_rate     numeric(5, 4) NOT NULL CHECK (vat_rate BETWEEN 0 AND 1),
    vat          numeric(18, 2) NOT NULL,
    total        numeric(18, 2) NOT NULL,
    terms        text NOT NULL CHECK (terms IN ('prepaid', 'postpaid')),
    parties      jsonb NOT NULL,
    issued_at    timestamptz NOT NULL,
    due_on       date NOT NULL,
    state        text NOT NULL CHECK (state IN ('open', 'due', 'overdue', 'paid', 'written_off')),
    reminders    smallint NOT NULL DEFAULT 0,
    next_step_on date,
    settled_at   timestamptz,
    settlement   jsonb,
    CHECK (total = net + vat),
    CHECK ((state IN ('paid', 'written_off')) = (settled_at IS NOT NULL)),
    CHECK (settled_at IS NULL OR next_step_on IS NULL),
    CONSTRAINT uq_invoices_account_id_month UNIQUE (account_id, month),
    CONSTRAINT uq_invoices_number UNIQUE (series, year, number)
);
COMMENT ON COLUMN billing.invoices.parties IS 'issuer and customer as they were when it was issued';
COMMENT ON COLUMN billing.invoices.settlement IS 'how it was paid, or why it was written off';
CREATE INDEX ix_invoices_account_id ON billing.invoices (account_id, id DESC);
CREATE INDEX ix_invoices_next_step_on ON billing.invoices (next_step_on) WHERE next_step_on IS NOT NULL;
CREATE INDEX ix_invoices_state ON billing.invoices (state, id DESC);

CREATE TABLE billing.invoice_lines (
    invoice_id uuid NOT NULL REFERENCES billing.invoices (id),
    position   smallint NOT NULL,
    tenant_id  uuid NOT NULL,
    country    char(2) NOT NULL,
    mno        text NOT NULL,
    rate       numeric(18, 4) NOT NULL,
    messages   bigint NOT NULL,
    segments   bigint NOT NULL,
    amount     numeric(18, 4) NOT NULL,
    PRIMARY KEY (invoice_id, position)
);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['profiles', 'invoices', 'invoice_lines'] LOOP
        EXECUTE format('ALTER TABLE billing.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE billing.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON billing.%I TO main_api USING (tenant_id = core.current_tenant())', t);
        EXECUTE format('CREATE POLICY pipeline ON billing.%I TO main_api_pipeline, sema_owner USING (true)', t);
    END LOOP;
END
$$;
GRANT SELECT ON billing.profiles, billing.invoices, billing.invoice_lines TO main_api;
GRANT SELECT, INSERT, UPDATE ON billing.profiles, billing.invoice_numbers, billing.invoice_runs TO main_api_pipeline;
GRANT SELECT, INSERT ON billing.invoices, billing.invoice_lines TO main_api_pipeline;
GRANT UPDATE (state, reminders, next_step_on, settled_at, settlement) ON billing.invoices TO main_api_pipeline;
