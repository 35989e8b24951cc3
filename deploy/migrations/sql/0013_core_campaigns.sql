-- Campaigns: who receives one, fixed at its submission, and how far its expansion has come.

ALTER TABLE core.campaigns
    ADD COLUMN test          boolean NOT NULL DEFAULT false,
    ADD COLUMN quiet_hours   boolean NOT NULL DEFAULT false,
    ADD COLUMN on_missing    text NOT NULL DEFAULT 'empty' CHECK (on_missing IN ('empty', 'skip')),
    ADD COLUMN estimate      numeric(18, 4) NOT NULL DEFAULT 0 CHECK (estimate >= 0),
    ADD COLUMN cost          numeric(18, 4) NOT NULL DEFAULT 0 CHECK (cost BETWEEN 0 AND estimate),
    ADD COLUMN contacts      integer NOT NULL DEFAULT 0,
    ADD COLUMN expanded      integer NOT NULL DEFAULT 0,
    ADD COLUMN refused       integer NOT NULL DEFAULT 0 CHECK (expanded + refused <= contacts),
    ADD COLUMN suppressed    integer NOT NULL DEFAULT 0,
    ADD COLUMN duplicates    integer NOT NULL DEFAULT 0,
    ADD COLUMN invalid       integer NOT NULL DEFAULT 0,
    ADD COLUMN missing       jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN totals        jsonb,
    ADD COLUMN traceparent   text,
    ADD COLUMN claimed_by    uuid,
    ADD COLUMN claimed_until timestamptz,
    ADD COLUMN wake_at       timestamptz,
    ADD COLUMN moved_at      timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN started_at    timestamptz,
    ADD COLUMN expanded_at   timestamptz;
COMMENT ON COLUMN core.campaigns.estimate IS 'what all recipients cost; reserved at submission, an upper bound of cost';
COMMENT ON COLUMN core.campaigns.reserved IS 'what is still held: the estimate, less what was charged or returned';
COMMENT ON COLUMN core.campaigns.expanded IS 'messages made';
COMMENT ON COLUMN core.campaigns.refused IS 'recipients that got no message and are not charged';
COMMENT ON COLUMN core.campaigns.totals IS 'messages by status, kept once none of them moves any more';
COMMENT ON COLUMN core.campaigns.claimed_by IS 'the instance of main-api that expands it, until claimed_until';
COMMENT ON COLUMN core.campaigns.wake_at IS 'quiet hours: nobody may be written to before';
COMMENT ON COLUMN core.campaigns.moved_at IS 'when its status changed or a chunk of it was expanded last';

-- A list may be deleted once its campaigns have their recipients.
ALTER TABLE core.campaigns ALTER COLUMN contact_list_id DROP NOT NULL,
    DROP CONSTRAINT campaigns_contact_list_id_fkey,
    ADD CONSTRAINT campaigns_contact_list_id_fkey FOREIGN KEY (contact_list_id)
        REFERENCES core.contact_lists (id) ON DELETE SET NULL;
CREATE INDEX ix_campaigns_moving ON core.campaigns (status, id)
    WHERE status IN ('submitted', 'pending_content_check', 'approved', 'scheduled', 'queued', 'sending');
CREATE INDEX ix_campaigns_unsettled ON core.campaigns (completed_at) WHERE status = 'completed' AND totals IS NULL;

-- A campaign is expanded country by country, because quiet hours and prices are a country's; `cursor` is the last
-- recipient that a message was made for, or refused. prices: one segment's, by MNO ('' where none is known).
CREATE TABLE core.campaign_parts (
    campaign_id uuid NOT NULL REFERENCES core.campaigns (id) ON DELETE CASCADE,
    country     char(2) NOT NULL,
    tenant_id   uuid NOT NULL,
    cursor      integer NOT NULL DEFAULT 0,
    last_seq    integer NOT NULL,
    prices      jsonb NOT NULL,
    PRIMARY KEY (campaign_id, country)
);

-- Who receives it: copied from the list at submission, so that nothing that happens to the list later changes anything.
-- The unique number is what makes twice impossible. Kept for 30 days after the end, for the report.
CREATE TABLE core.campaign_recipients (
    campaign_id uuid NOT NULL,
    country     char(2) NOT NULL,
    seq         integer NOT NULL,
    tenant_id   uuid NOT NULL,
    contact_id  uuid NOT NULL,
    msisdn      text NOT NULL,
    mno         text,
    fields      jsonb,
    refused     jsonb,
    PRIMARY KEY (campaign_id, country, seq),
    CONSTRAINT uq_campaign_recipients_msisdn UNIQUE (campaign_id, msisdn)
);
COMMENT ON COLUMN core.campaign_recipients.fields IS 'the values of the merge fields that the text uses; a missing one is absent';
COMMENT ON COLUMN core.campaign_recipients.refused IS 'why there is no message: code and detail';
CREATE INDEX ix_campaign_recipients_refused ON core.campaign_recipients (campaign_id, country, seq)
    WHERE refused IS NOT NULL;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['campaign_parts', 'campaign_recipients'] LOOP
        EXECUTE format('ALTER TABLE core.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE core.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON core.%I TO main_api USING (tenant_id = core.current_tenant())', t);
        EXECUTE format('CREATE POLICY pipeline ON core.%I TO main_api_pipeline, sema_owner USING (true)', t);
    END LOOP;
END
$$;
GRANT SELECT ON core.campaign_recipients TO main_api;
GRANT SELECT, INSERT, UPDATE ON core.campaign_parts TO main_api_pipeline;
GRANT SELECT, INSERT, UPDATE, DELETE ON core.campaign_recipients TO main_api_pipeline;

-- Whoever moves a campaign (main-api, content-worker) leaves the time of it, and wakes the scheduler where there is
-- something for it to do. A chunk of expansion wakes nobody: NOTIFY serialises commits.
CREATE FUNCTION core.campaign_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.moved_at := clock_timestamp();
    IF NEW.status IN ('approved', 'queued') OR OLD.status = 'paused' THEN
        NOTIFY campaigns;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER campaign_moved BEFORE UPDATE OF status ON core.campaigns
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION core.campaign_moved();

-- A campaign's messages by status: its totals, and whether one of them still waits for its submit.
CREATE INDEX ix_sms_messages_campaign_id_status ON orch.sms_messages (campaign_id, status)
    WHERE campaign_id IS NOT NULL;
