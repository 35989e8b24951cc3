-- Contact lists as customers fill them, and their validation as it can be followed, stopped and taken up again.
--
-- core.contact_lists            a list of one account; deleting it deletes its contacts and jobs.
-- core.contacts                 one row for one number of a list. `valid` ones are a campaign's recipients; `pending`
--                               ones wait for their job; `invalid` ones have a reason and, where one is sure, a suggestion.
-- core.contact_validation_jobs  what an upload, an addition or a correction gave phone-validator to do. A list has
--                               been validated when none of its jobs is queued or running.
ALTER TABLE core.contact_lists
    ADD COLUMN fields text[] NOT NULL DEFAULT '{}' CHECK (cardinality(fields) <= 50),
    ADD CONSTRAINT ck_contact_lists_name CHECK (length(name) BETWEEN 1 AND 200);
COMMENT ON COLUMN core.contact_lists.fields IS 'names of attributes that its contacts have or had, in the order of their first appearance: the columns of an export';
COMMENT ON COLUMN core.contact_lists.default_country IS 'ISO 3166; reads national forms (0712…) as numbers of this country. Never changes';

-- phone_key: the number where it can be read as one, else the text without what only separates. Two spellings of one
-- number are one contact.
ALTER TABLE core.contacts ADD COLUMN phone_key text;
UPDATE core.contacts SET phone_key = COALESCE(msisdn, phone || ' ' || id);
ALTER TABLE core.contacts
    ALTER COLUMN phone_key SET DEFAULT gen_random_uuid()::text,
    ALTER COLUMN phone_key SET NOT NULL,
    ADD CONSTRAINT ck_contacts_phone CHECK (length(phone) <= 100) NOT VALID,
    ADD CONSTRAINT ck_contacts_name CHECK (length(name) <= 200) NOT VALID,
    -- A million foreign keys cost more than the rows: the account is the list's, a job goes with its list only.
    DROP CONSTRAINT contacts_account_id_fkey,
    DROP CONSTRAINT contacts_job_id_fkey;
CREATE UNIQUE INDEX uq_contacts_list_phone_key ON core.contacts (contact_list_id, phone_key);
COMMENT ON COLUMN core.contacts.phone_key IS 'what makes two rows of a list the same contact';
COMMENT ON COLUMN core.contacts.suggestion IS 'the number that was certainly meant, where phone says it otherwise; never used by itself while invalid';
COMMENT ON COLUMN core.contacts.mno_tier IS '1 curated, 2 carrier data';

ALTER TABLE core.contact_validation_jobs
    ADD COLUMN failure text,
    ADD COLUMN published_at timestamptz;
COMMENT ON COLUMN core.contact_validation_jobs.failure IS 'why it failed';
COMMENT ON COLUMN core.contact_validation_jobs.published_at IS 'when contacts.validate had it; NULL: still to be told';
UPDATE core.contact_validation_jobs SET published_at = created_at;
CREATE INDEX ix_contact_validation_jobs_untold ON core.contact_validation_jobs (created_at)
    WHERE published_at IS NULL AND status = 'queued';
CREATE INDEX ix_contact_validation_jobs_live ON core.contact_validation_jobs (contact_list_id)
    WHERE status IN ('queued', 'running');

GRANT UPDATE (failure) ON core.contact_validation_jobs TO phone_validator_pipeline;
