-- Where a sender ID may be used, and which names are nobody's to imitate.

-- What a country takes as a sender; one without a row takes any.
CREATE TABLE core.sender_rules (
    country              char(2) PRIMARY KEY CHECK (country ~ '^[A-Z]{2}$'),
    needs_registration   boolean NOT NULL,
    allows_alphanumeric  boolean NOT NULL DEFAULT true,
    allows_numeric       boolean NOT NULL DEFAULT true,
    note                 text CHECK (length(note) BETWEEN 1 AND 500),
    changed_at           timestamptz NOT NULL DEFAULT now(),
    CHECK (allows_alphanumeric OR allows_numeric)
);
INSERT INTO core.sender_rules (country, needs_registration) VALUES ('KE', true), ('UG', true), ('TZ', true), ('RW', true);

-- Names that a customer needs a reason for, whoever has a sender ID like them. Compared by skeleton.
CREATE TABLE core.protected_names (
    name       text PRIMARY KEY CHECK (length(name) BETWEEN 3 AND 40),
    note       text CHECK (length(note) BETWEEN 1 AND 500),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO core.protected_names (name, note) VALUES
    ('Safaricom', 'MNO'), ('M-PESA', 'mobile money'), ('Airtel', 'MNO'), ('Telkom', 'MNO'), ('Fuliza', 'mobile money'),
    ('MTN', 'MNO'), ('MoMo', 'mobile money'), ('Vodacom', 'MNO'), ('Tigo', 'MNO'), ('Halotel', 'MNO'),
    ('Equity', 'bank'), ('Equitel', 'bank'), ('KCB', 'bank'), ('Co-op Bank', 'bank'), ('NCBA', 'bank'),
    ('Absa', 'bank'), ('Stanbic', 'bank'), ('StanChart', 'bank'), ('DTB', 'bank'), ('I&M Bank', 'bank'),
    ('Family Bank', 'bank'), ('CRDB', 'bank'), ('NMB', 'bank'), ('Centenary', 'bank'),
    ('KRA', 'government'), ('eCitizen', 'government'), ('Huduma', 'government'), ('IEBC', 'government'),
    ('NTSA', 'government'), ('HELB', 'government'), ('KPLC', 'utility'), ('Kenya Power', 'utility'),
    ('NSSF', 'government'), ('URA', 'government'), ('TRA', 'government'), ('RRA', 'government'), ('Semalink', 'us');

ALTER TABLE core.sender_ids
    ADD COLUMN countries  text[] NOT NULL DEFAULT '{}',
    ADD COLUMN purpose    text CHECK (length(purpose) BETWEEN 1 AND 500),
    ADD COLUMN decided_by uuid;
COMMENT ON COLUMN core.sender_ids.countries IS 'where it is registered; while it is pending, where it is wanted';
UPDATE core.sender_ids SET countries = ARRAY(SELECT country FROM core.sender_rules WHERE needs_registration)
WHERE status = 'approved';
-- What staff look at first.
CREATE INDEX ix_sender_ids_status ON core.sender_ids (status, id DESC);

GRANT SELECT, INSERT, UPDATE, DELETE ON core.sender_rules TO main_api_pipeline;
GRANT SELECT, INSERT, DELETE ON core.protected_names TO main_api_pipeline;
