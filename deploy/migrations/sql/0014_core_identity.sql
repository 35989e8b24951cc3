-- What people have begun and not finished (registering, an invitation, a new password), their second factor, and the
-- mail that is owed to them. None of it is a tenant's to read: only main-api's pipeline touches it.

-- Nobody yet: becomes an account and its owner when the link in the mail is followed.
CREATE TABLE core.registrations (
    token_hash    bytea PRIMARY KEY,
    email         text NOT NULL CHECK (email = lower(email)),
    password_hash text NOT NULL,
    name          text NOT NULL CHECK (length(name) <= 100),
    company       text NOT NULL CHECK (length(company) BETWEEN 1 AND 200),
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL
);
COMMENT ON COLUMN core.registrations.token_hash IS 'SHA-256 of the 256 random bits in the mail';
CREATE INDEX ix_registrations_expires_at ON core.registrations (expires_at);

-- Links that let somebody set a password: each works once.
CREATE TABLE core.user_tokens (
    token_hash bytea PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES core.users (id) ON DELETE CASCADE,
    purpose    text NOT NULL CHECK (purpose IN ('reset', 'invitation')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ix_user_tokens_user_id ON core.user_tokens (user_id);
CREATE INDEX ix_user_tokens_expires_at ON core.user_tokens (expires_at);

CREATE TABLE core.user_totp (
    user_id      uuid PRIMARY KEY REFERENCES core.users (id) ON DELETE CASCADE,
    secret       bytea NOT NULL,
    confirmed_at timestamptz,
    last_step    bigint NOT NULL DEFAULT 0,
    recovery     bytea[] NOT NULL DEFAULT '{}'
);
COMMENT ON COLUMN core.user_totp.secret IS 'encrypted by the application; asked for once confirmed_at is set';
COMMENT ON COLUMN core.user_totp.last_step IS 'time step of the newest code that was used: none works twice';
COMMENT ON COLUMN core.user_totp.recovery IS 'SHA-256 of the recovery codes that are left';

CREATE TABLE core.mails (
    id         uuid PRIMARY KEY,
    recipient  text NOT NULL,
    kind       text NOT NULL,
    content    bytea,
    attempts   smallint NOT NULL DEFAULT 0,
    error      text,
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at     timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz
);
COMMENT ON COLUMN core.mails.content IS 'subject and text, encrypted by the application; NULL once sent or given up';
CREATE INDEX ix_mails_due ON core.mails (due_at) WHERE content IS NOT NULL;
CREATE INDEX ix_mails_done ON core.mails (due_at) WHERE content IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON core.registrations, core.user_tokens, core.user_totp, core.mails TO main_api_pipeline;
