-- Money that comes in by M-Pesa.
--
-- billing.top_ups                  what a customer asked to pay. Its credit is the ledger's entry (id, 'top_up').
-- billing.mpesa_payments           one row per receipt of M-Pesa, whoever told us of it: what makes a payment that is
--                                  seen twice one payment. Nothing that only a callback told is credited by itself.
-- billing.payment_notices          what came through the callback door, as it came.
-- billing.payment_tasks            what one instance at a time does: when it is due, how far it got.
-- billing.payment_reconciliations  what the provider's list and our books say of one day in Nairobi.
CREATE TABLE billing.top_ups (
    id                  uuid PRIMARY KEY,
    tenant_id           uuid NOT NULL,
    account_id          uuid NOT NULL REFERENCES core.accounts (id),
    amount              numeric(18, 4) NOT NULL CHECK (amount > 0),
    currency            char(3) NOT NULL,
    msisdn              text NOT NULL,
    account_reference   text NOT NULL CHECK (length(account_reference) <= 12),
    status              text NOT NULL DEFAULT 'pending'
                            CHECK (status IN ('pending', 'succeeded', 'failed', 'expired')),
    reason              text,
    receipt             text,
    callback_hash       bytea,
    merchant_request_id text,
    checkout_request_id text,
    told_receipt        text,
    held                boolean NOT NULL DEFAULT false,
    push_at             timestamptz,
    query_at            timestamptz,
    queries             integer NOT NULL DEFAULT 0,
    created_at          timestamptz NOT NULL,
    settled_at          timestamptz
);
COMMENT ON COLUMN billing.top_ups.account_reference IS 'unique: names this top-up on the payer''s phone and at the pay-bill menu';
COMMENT ON COLUMN billing.top_ups.callback_hash IS 'SHA-256 of the token in its CallBackURL';
COMMENT ON COLUMN billing.top_ups.told_receipt IS 'the receipt that a callback named; receipt is the one that counts';
COMMENT ON COLUMN billing.top_ups.held IS 'a callback told of another amount: only the list of transactions settles it';
COMMENT ON COLUMN billing.top_ups.push_at IS 'when it may be pushed; NULL: somebody has begun to, and nobody does so again';
COMMENT ON COLUMN billing.top_ups.query_at IS 'when to ask for its result next; NULL: there is nothing to ask';
CREATE UNIQUE INDEX uq_top_ups_account_reference ON billing.top_ups (account_reference);
CREATE UNIQUE INDEX uq_top_ups_receipt ON billing.top_ups (receipt);
CREATE UNIQUE INDEX uq_top_ups_callback_hash ON billing.top_ups (callback_hash);
CREATE UNIQUE INDEX uq_top_ups_checkout_request_id ON billing.top_ups (checkout_request_id);
CREATE INDEX ix_top_ups_account_id ON billing.top_ups (account_id, id);
CREATE INDEX ix_top_ups_msisdn ON billing.top_ups (msisdn, created_at);
CREATE INDEX ix_top_ups_push_at ON billing.top_ups (push_at) WHERE push_at IS NOT NULL;
CREATE INDEX ix_top_ups_query_at ON billing.top_ups (query_at) WHERE query_at IS NOT NULL;
CREATE INDEX ix_top_ups_settled_at ON billing.top_ups (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE billing.mpesa_payments (
    receipt        text PRIMARY KEY,
    amount         numeric(18, 4) NOT NULL CHECK (amount > 0),
    bill_reference text NOT NULL,
    payer          text NOT NULL DEFAULT '',
    paid_at        timestamptz NOT NULL,
    listed_at      timestamptz,
    state          text NOT NULL
                       CHECK (state IN ('told', 'listed', 'credited', 'mismatched', 'unassigned', 'returned')),
    top_up_id      uuid REFERENCES billing.top_ups (id),
    account_id     uuid REFERENCES core.accounts (id),
    reference      uuid,
    settled_at     timestamptz,
    decided_by     text,
    CHECK (state <> 'credited' OR account_id IS NOT NULL)
);
COMMENT ON COLUMN billing.mpesa_payments.state IS
    'told: by a callback only; listed: by the provider''s list, to be settled; credited: to account_id, as its top-up or '
    'under a reference of its own; mismatched: credited, and the list has another amount; unassigned: nobody knows whose; '
    'returned: staff gave it back';
COMMENT ON COLUMN billing.mpesa_payments.reference IS 'of its entry in the ledger, kind top_up';
COMMENT ON COLUMN billing.mpesa_payments.payer IS 'as the provider masks it';
CREATE UNIQUE INDEX uq_mpesa_payments_top_up_id ON billing.mpesa_payments (top_up_id);
CREATE INDEX ix_mpesa_payments_state ON billing.mpesa_payments (state, receipt) WHERE state NOT IN ('credited', 'returned');
CREATE INDEX ix_mpesa_payments_paid_at ON billing.mpesa_payments (paid_at, receipt);

CREATE TABLE billing.payment_notices (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('push', 'confirmation', 'unreadable')),
    top_up_id   uuid,
    receipt     text,
    finding     text NOT NULL,
    body        text NOT NULL,
    received_at timestamptz NOT NULL
);
COMMENT ON COLUMN billing.payment_notices.finding IS 'what was made of it: taken, or why not';
CREATE INDEX ix_payment_notices_received_at ON billing.payment_notices (received_at);

CREATE TABLE billing.payment_tasks (
    name    text PRIMARY KEY,
    due_at  timestamptz NOT NULL DEFAULT now(),
    done_to timestamptz
);
INSERT INTO billing.payment_tasks (name) VALUES ('list'), ('reconcile');

CREATE TABLE billing.payment_reconciliations (
    day        date PRIMARY KEY,
    made_at    timestamptz NOT NULL,
    complete   boolean NOT NULL,
    totals     jsonb NOT NULL,
    mismatches jsonb NOT NULL
);
COMMENT ON COLUMN billing.payment_reconciliations.complete IS 'the list was read to the end of that day';

ALTER TABLE billing.top_ups ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing.top_ups FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON billing.top_ups TO main_api USING (tenant_id = core.current_tenant());
CREATE POLICY pipeline ON billing.top_ups TO main_api_pipeline, sema_owner USING (true);

GRANT SELECT ON billing.top_ups TO main_api;
GRANT SELECT, INSERT, UPDATE ON billing.top_ups, billing.mpesa_payments, billing.payment_reconciliations TO main_api_pipeline;
GRANT SELECT, INSERT, DELETE ON billing.payment_notices TO main_api_pipeline;
GRANT SELECT, UPDATE ON billing.payment_tasks TO main_api_pipeline;
