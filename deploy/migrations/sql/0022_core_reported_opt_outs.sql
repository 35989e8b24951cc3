-- Opt-outs that aggregators report are written where they are learned: the rooms may add one, and nothing else.

CREATE POLICY reported ON core.suppressions FOR INSERT TO sms_worker_pipeline, dlr_processor_pipeline WITH CHECK (true);

GRANT INSERT ON core.suppressions TO sms_worker_pipeline, dlr_processor_pipeline;
