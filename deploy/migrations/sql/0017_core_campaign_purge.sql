-- Thirty days after a campaign's end its recipients and parts are deleted; purged_at says that it is done, so that
-- nobody looks through every campaign there ever was to find the next.
ALTER TABLE core.campaigns ADD COLUMN purged_at timestamptz;
COMMENT ON COLUMN core.campaigns.purged_at IS 'when its recipients and parts were deleted; NULL: they are there';
CREATE INDEX ix_campaigns_unpurged ON core.campaigns (moved_at)
    WHERE purged_at IS NULL AND status IN ('completed', 'rejected', 'cancelled');
GRANT DELETE ON core.campaign_parts TO main_api_pipeline;
