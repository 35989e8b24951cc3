-- Messages that no report has come of: found, asked about, in the end given up; refunds that wait for certainty.

-- What was sent and has not ended: the whole of what polling and expiry look at, in the order of its age.
CREATE INDEX ix_sms_messages_sent ON orch.sms_messages (sent_at) WHERE status = 'sent';

-- Up to where an aggregator has been asked about the messages of one age. Shared by all sms-workers: whoever moves
-- due_at ahead asks, the others wait.
CREATE TABLE orch.report_polls (
    aggregator  text NOT NULL,
    age_seconds integer NOT NULL CHECK (age_seconds > 0),
    asked_until timestamptz NOT NULL DEFAULT to_timestamp(0),
    due_at      timestamptz NOT NULL,
    PRIMARY KEY (aggregator, age_seconds)
);
COMMENT ON COLUMN orch.report_polls.asked_until IS 'messages sent until then have been asked about at this age';
GRANT SELECT, INSERT, UPDATE ON orch.report_polls TO sms_worker_pipeline;
GRANT SELECT ON orch.report_polls TO main_api_pipeline;

-- A soft failure may be overturned by a later report; a stored report keeps saying so when it is matched late.
ALTER TABLE dlr.dlrs
    ADD COLUMN soft boolean NOT NULL DEFAULT false,
    ADD COLUMN suppress boolean NOT NULL DEFAULT false,
    ADD COLUMN recipient text;
COMMENT ON COLUMN dlr.dlrs.soft IS 'a failure that a later report may well overturn';
COMMENT ON COLUMN dlr.dlrs.suppress IS 'the recipient has opted out of promotions';
COMMENT ON COLUMN dlr.dlrs.state IS 'applied: wrote an event; repeated: told nothing new; unmatched: no such submit yet; '
    'abandoned: never was, or claims a message that is not its own (then in dlr.quarantine too)';

-- Refunds of accounts with refund_undelivered whose message has only failed softly so far.
CREATE TABLE dlr.withheld_refunds (
    message_id         uuid PRIMARY KEY,
    billing_account_id uuid NOT NULL,
    due_at             timestamptz NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN dlr.withheld_refunds.due_at IS 'when the failure counts as confirmed, unless a report says so before';
CREATE INDEX ix_withheld_refunds_due ON dlr.withheld_refunds (due_at);
GRANT SELECT, INSERT, DELETE ON dlr.withheld_refunds TO dlr_processor_pipeline;
GRANT SELECT ON dlr.withheld_refunds TO main_api_pipeline;

-- Drops the monthly partitions of reports whose last day is more than `keep_days` ago; answers how many. One in which
-- a report still waits for its submit stays. Dropping is O(1) where deleting would leave the table to vacuum.
CREATE FUNCTION dlr.drop_partitions(keep_days integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    child   regclass;
    month   text;
    waiting boolean;
    dropped integer := 0;
BEGIN
    IF keep_days IS NULL OR keep_days < 30 THEN
        RAISE EXCEPTION 'reports are kept for 30 days at least';
    END IF;
    -- Two instances may call at the same time.
    PERFORM pg_advisory_xact_lock(hashtext('dlr.drop_partitions'));
    FOR child, month IN SELECT i.inhrelid::regclass, substring(c.relname FROM '_(\d{4}_\d{2})$')
                        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                        WHERE i.inhparent = 'dlr.dlrs'::regclass ORDER BY c.relname LOOP
        CONTINUE WHEN month IS NULL OR (to_date(month, 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC'
            > now() - make_interval(days => keep_days);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE state = ''unmatched'')', child) INTO waiting;
        IF NOT waiting THEN
            EXECUTE format('DROP TABLE %s', child);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION dlr.drop_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dlr.drop_partitions(integer) TO dlr_processor_pipeline;
