-- Delivery reports as they came and what became of them; and what nobody could read.

CREATE SCHEMA dlr;
GRANT USAGE ON SCHEMA dlr TO main_api_pipeline, dlr_processor_pipeline;

CREATE TABLE dlr.dlrs (
    id            uuid NOT NULL,
    received_at   timestamptz NOT NULL,
    aggregator    text NOT NULL,
    aggregator_id text NOT NULL,
    message_id    uuid,
    status        text,
    description   text NOT NULL,
    error_code    text,
    occurred_at   timestamptz,
    network       text,
    state         text NOT NULL CHECK (state IN ('applied', 'repeated', 'unmatched', 'abandoned')),
    retry_at      timestamptz,
    raw           text NOT NULL,
    processed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, received_at)
) PARTITION BY RANGE (received_at);
COMMENT ON COLUMN dlr.dlrs.id IS 'derived from the delivery that brought it: taking it in twice is a no-op';
COMMENT ON COLUMN dlr.dlrs.state IS 'applied: wrote an event; repeated: told nothing new; unmatched: no such submit yet; abandoned: never was';
CREATE INDEX ix_dlrs_retry ON dlr.dlrs (retry_at) WHERE state = 'unmatched';
CREATE INDEX ix_dlrs_message_id ON dlr.dlrs (message_id) WHERE message_id IS NOT NULL;

CREATE TABLE dlr.quarantine (
    id           uuid PRIMARY KEY,
    aggregator   text NOT NULL,
    reason       text NOT NULL,
    content_type text NOT NULL,
    query        text NOT NULL,
    body         bytea NOT NULL,
    received_at  timestamptz NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT ON dlr.dlrs, dlr.quarantine TO main_api_pipeline;
GRANT SELECT, INSERT, UPDATE ON dlr.dlrs TO dlr_processor_pipeline;
GRANT SELECT, INSERT ON dlr.quarantine TO dlr_processor_pipeline;

SELECT orch.ensure_partitions(3);
