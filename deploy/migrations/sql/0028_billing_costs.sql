-- What aggregators charge us, and the indexes that reports and agents' lists go by.

-- A segment's cost from valid_from up to the day before valid_to, in UTC. mno '*': every other network of the country.
CREATE TABLE billing.aggregator_costs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    aggregator text NOT NULL REFERENCES core.routes (aggregator),
    country    char(2) NOT NULL,
    mno        text NOT NULL DEFAULT '*',
    currency   char(3) NOT NULL,
    cost       numeric(18, 4) NOT NULL CHECK (cost >= 0),
    valid_from date NOT NULL,
    valid_to   date CHECK (valid_to >= valid_from)
);
COMMENT ON COLUMN billing.aggregator_costs.valid_to IS 'NULL: it holds on; the same day as valid_from: it never held';
CREATE INDEX ix_aggregator_costs_country ON billing.aggregator_costs (country, mno);
GRANT SELECT, INSERT, UPDATE ON billing.aggregator_costs TO main_api_pipeline;

CREATE INDEX ix_usage_days_day ON billing.usage_days (day);
CREATE INDEX ix_ledger_days_commission ON billing.ledger_days (day) WHERE kind = 'commission';

-- Ids are in the order of time: a page of sales is a range of them.
CREATE INDEX ix_agent_sales_agent_id ON billing.agent_sales (agent_id, message_id);
CREATE INDEX ix_agent_sales_customer_id ON billing.agent_sales (customer_id, message_id);
