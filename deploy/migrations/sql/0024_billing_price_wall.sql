-- A price agreed with one account is that account's to see: the list of everybody is common, the rest stands behind the
-- wall of accounts, which is walled itself.
ALTER TABLE billing.pricing_tiers ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing.pricing_tiers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON billing.pricing_tiers TO main_api
    USING (account_id IS NULL OR account_id IN (SELECT id FROM core.accounts));
CREATE POLICY pipeline ON billing.pricing_tiers TO main_api_pipeline, sema_owner USING (true);
