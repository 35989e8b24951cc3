-- Dead letters, quarantined reports and the audit log as staff work with them.

-- The decision on a letter is committed first and told after: what is still to be published is found by told_at.
ALTER TABLE core.dead_letters
    ADD COLUMN sent_type text,
    ADD COLUMN sent_version integer,
    ADD COLUMN sent_body bytea,
    ADD COLUMN told_at timestamptz;
COMMENT ON COLUMN core.dead_letters.id IS 'derived from the letter: keeping the same death twice is a no-op';
COMMENT ON COLUMN core.dead_letters.sent_body IS 'what a re-publish puts on the queue; NULL: the body as it came';
COMMENT ON COLUMN core.dead_letters.told_at IS 'when what was decided had been published; NULL: still to do, or open';
UPDATE core.dead_letters SET told_at = decided_at WHERE state <> 'open';
CREATE INDEX ix_dead_letters_queue_dead_at ON core.dead_letters (queue, state, dead_at DESC, id DESC);
DROP INDEX core.ix_dead_letters_queue_state;
CREATE INDEX ix_dead_letters_untold ON core.dead_letters (decided_at) WHERE state <> 'open' AND told_at IS NULL;
CREATE INDEX ix_dead_letters_decided_at ON core.dead_letters (decided_at) WHERE state <> 'open';
GRANT DELETE ON core.dead_letters TO main_api_pipeline;

-- A discarded job's attempt is claimed by main-api, so that no other copy of the job is submitted after the refund.
GRANT INSERT, UPDATE (state, code, detail, finished_at, due_at) ON orch.submit_attempts TO main_api_pipeline;

ALTER TABLE dlr.quarantine
    ADD COLUMN state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'reread', 'discarded')),
    ADD COLUMN decided_at timestamptz,
    ADD COLUMN decided_by text,
    ADD COLUMN told_at timestamptz;
COMMENT ON COLUMN dlr.quarantine.told_at IS 'when a body to be read again was back on dlr.inbound';
CREATE INDEX ix_quarantine_received_at ON dlr.quarantine (state, received_at DESC, id DESC);
CREATE INDEX ix_quarantine_untold ON dlr.quarantine (decided_at) WHERE state = 'reread' AND told_at IS NULL;
CREATE INDEX ix_quarantine_decided_at ON dlr.quarantine (decided_at) WHERE state <> 'open';
GRANT UPDATE (state, decided_at, decided_by, told_at), DELETE ON dlr.quarantine TO main_api_pipeline;
CREATE INDEX ix_dlrs_strangers ON dlr.dlrs (received_at DESC, id DESC) WHERE state IN ('unmatched', 'abandoned');

CREATE INDEX ix_audit_log_actor_id ON core.audit_log (actor_id, id DESC) WHERE actor_id IS NOT NULL;
CREATE INDEX ix_audit_log_account_id ON core.audit_log (account_id, id DESC) WHERE account_id IS NOT NULL;
CREATE INDEX ix_audit_log_at ON core.audit_log (at);
