-- What holds back whoever pumps one-time codes through an account, or has stolen a key of it.
ALTER TABLE core.accounts
    ADD COLUMN recipient_per_10_minutes integer CHECK (recipient_per_10_minutes > 0),
    ADD COLUMN prefix_per_10_minutes    integer CHECK (prefix_per_10_minutes > 0),
    ADD COLUMN spend_per_hour           numeric(18, 4) CHECK (spend_per_hour > 0);
COMMENT ON COLUMN core.accounts.recipient_per_10_minutes IS 'messages to one recipient; NULL: the tier decides';
COMMENT ON COLUMN core.accounts.prefix_per_10_minutes IS
    'messages to numbers that differ in their last four digits only; NULL: the tier decides';
COMMENT ON COLUMN core.accounts.spend_per_hour IS
    'what sends and batches may cost, in the currency of the account; NULL: the tier decides';
