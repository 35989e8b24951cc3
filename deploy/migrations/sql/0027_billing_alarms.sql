-- Alarms that customers get: a balance that runs low, an endpoint that was disabled.

ALTER TABLE billing.credits
    ADD COLUMN low_threshold numeric(18, 4) CHECK (low_threshold >= 0),
    ADD COLUMN low_at        timestamptz,
    ADD COLUMN low_crossings integer NOT NULL DEFAULT 0,
    ADD COLUMN low_funded    numeric(18, 4) NOT NULL DEFAULT 0;
COMMENT ON COLUMN billing.credits.low_threshold IS
    'what may still be spent when the alarm goes off; NULL: none. A credit limit sets one of 20 % of itself';
COMMENT ON COLUMN billing.credits.low_at IS 'when it went off; NULL: armed';
COMMENT ON COLUMN billing.credits.low_crossings IS 'how often it went off: names the fact';
COMMENT ON COLUMN billing.credits.low_funded IS 'all credit that had come in by then: more of it arms the alarm again';

ALTER TABLE webhooks.endpoints ADD COLUMN disabled_told_at timestamptz;
UPDATE webhooks.endpoints SET disabled_told_at = disabled_at WHERE disabled_at IS NOT NULL;
COMMENT ON COLUMN webhooks.endpoints.disabled_told_at IS 'when the account was told by mail that it is disabled';
CREATE INDEX ix_endpoints_untold ON webhooks.endpoints (disabled_at)
    WHERE deleted_at IS NULL AND disabled_at IS NOT NULL AND (disabled_told_at IS NULL OR disabled_told_at < disabled_at);
