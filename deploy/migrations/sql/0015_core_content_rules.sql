-- The content rules as staff edit them: versioned, with what they refuse kept for the next dry run.

ALTER TABLE core.content_blocklist
    ADD COLUMN note text CHECK (length(note) BETWEEN 1 AND 500),
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CHECK (language ~ '^([a-z]{2,3}|any)$');
COMMENT ON COLUMN core.content_blocklist.note IS 'why, for the next member of staff; customers never see it';

-- One row. Every process compares it with what it has compiled, so whoever changes a rule, by whatever way, moves it.
CREATE TABLE core.content_rules_version (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version    bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO core.content_rules_version (version) VALUES (1);

CREATE FUNCTION core.move_content_rules_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE core.content_rules_version SET version = version + 1, changed_at = clock_timestamp();
    RETURN NULL;
END
$$;
CREATE TRIGGER move_version AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON core.content_blocklist
    FOR EACH STATEMENT EXECUTE FUNCTION core.move_content_rules_version();

-- Texts that were refused lately, each once: no message is made of them, and without them nobody could say what a
-- change of the rules would newly allow. Purged by main-api.
CREATE TABLE core.content_refusals (
    hash       bytea PRIMARY KEY,
    account_id uuid NOT NULL,
    body       text NOT NULL,
    reasons    jsonb NOT NULL,
    refusals   integer NOT NULL,
    first_at   timestamptz NOT NULL,
    last_at    timestamptz NOT NULL
);
COMMENT ON COLUMN core.content_refusals.hash IS 'sha256 of account and text';
CREATE INDEX ix_content_refusals_last_at ON core.content_refusals (last_at, hash);

GRANT SELECT, UPDATE ON core.content_rules_version TO main_api_pipeline;
GRANT SELECT ON core.content_rules_version TO content_worker_pipeline;
GRANT SELECT, INSERT, UPDATE, DELETE ON core.content_refusals TO main_api_pipeline;
