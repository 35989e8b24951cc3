-- What a customer may bind a key to: the networks that it works from, and less speed than the account has.
ALTER TABLE core.api_keys
    ADD COLUMN allowed_networks cidr[] NOT NULL DEFAULT '{}',
    ADD COLUMN rate_per_second  integer CHECK (rate_per_second > 0);
COMMENT ON COLUMN core.api_keys.allowed_networks IS 'empty: the key works from anywhere';
COMMENT ON COLUMN core.api_keys.rate_per_second IS 'of each lane, beside the rate of the account; NULL: the rate of the account';
