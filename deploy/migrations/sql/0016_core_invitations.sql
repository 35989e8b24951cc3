-- Whoever was invited and never came is deleted with his last link, so that nobody can keep an address from its owner.

GRANT DELETE ON core.users TO main_api_pipeline;
CREATE INDEX ix_users_invited ON core.users (id) WHERE password_hash = '';
