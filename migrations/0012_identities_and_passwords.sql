-- Accounts that are signed in to by e-mail, Discord and Privy as well as by node.

-- Who may look at other people's accounts. Granted by the operator's tool alone.
CREATE TABLE admins (
    user_id    uuid CONSTRAINT admins_pkey PRIMARY KEY
        CONSTRAINT admins_user_id_fkey REFERENCES users ON DELETE CASCADE,
    granted_at timestamptz NOT NULL
);

-- Whether the account a transaction acts for is an administrator's. Reads the table under the caller's own policy.
CREATE FUNCTION app_is_admin() RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM admins WHERE user_id = app_user_id());
END
$$;

ALTER TABLE users
    ADD last_active_at timestamptz,
    -- When what was personal in a deleted account was removed.
    ADD erased_at timestamptz,
    -- What its owner unlinked: nobody is joined to the account by it until the owner links it again.
    ADD unlinked_kinds text[] NOT NULL DEFAULT '{}'
        CONSTRAINT users_unlinked_kinds CHECK (unlinked_kinds <@ '{discord,privy}'),
    ADD CONSTRAINT users_erased_were_deleted CHECK (erased_at IS NULL OR deleted_at IS NOT NULL);
CREATE INDEX users_created_at_idx ON users (created_at, id);
CREATE INDEX users_to_erase_idx ON users (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;

ALTER TABLE identities
    -- When it was proven that the subject is the account's: for an e-mail, that its mailbox answered.
    ADD verified_at timestamptz,
    -- What the provider calls them, for people to read: Discord's user name.
    ADD label text CONSTRAINT identities_label_length CHECK (char_length(label) BETWEEN 1 AND 128);
CREATE UNIQUE INDEX identities_one_of_a_kind ON identities (user_id, kind)
    WHERE kind IN ('email', 'discord', 'privy') AND retired_at IS NULL;

-- Whether all an account has is an address whose mailbox never answered. An address that an administrator wrote down
-- for somebody with another way in is no way in itself.
CREATE FUNCTION account_is_unproven(account uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp
AS $$
BEGIN
    RETURN (SELECT coalesce(bool_or(kind = 'email' AND verified_at IS NULL) AND bool_and(kind = 'email'), false)
            FROM identities WHERE user_id = account AND retired_at IS NULL);
END
$$;

-- The session that asked for a node_link: one that has ended links nothing any more.
ALTER TABLE challenges ADD session_id uuid;

-- Only who signs people in may read a hash.
CREATE TABLE passwords (
    user_id    uuid CONSTRAINT passwords_pkey PRIMARY KEY
        CONSTRAINT passwords_user_id_fkey REFERENCES users ON DELETE CASCADE,
    -- In the PHC form of argon2id, or an imported bcrypt until the next sign-in.
    hash       text NOT NULL CONSTRAINT passwords_hash_form CHECK (hash ~ '^\$(argon2id|2[abxy])\$'),
    -- When it was chosen, or when a session of the account last brought the proof of its mailbox.
    changed_at timestamptz NOT NULL
);

-- What was mailed to somebody, to be brought back once. Only its hash is kept.
CREATE TABLE one_time_tokens (
    hash       bytea CONSTRAINT one_time_tokens_pkey PRIMARY KEY
        CONSTRAINT one_time_tokens_hash_length CHECK (octet_length(hash) = 32),
    user_id    uuid NOT NULL CONSTRAINT one_time_tokens_user_id_fkey REFERENCES users ON DELETE CASCADE,
    purpose    text NOT NULL
        CONSTRAINT one_time_tokens_purpose CHECK (purpose IN ('verify_email', 'link_email', 'reset_password')),
    -- The address whose mailbox it proves.
    email      text NOT NULL CONSTRAINT one_time_tokens_email_length CHECK (char_length(email) BETWEEN 3 AND 254),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX one_time_tokens_user_id_idx ON one_time_tokens (user_id);
CREATE INDEX one_time_tokens_expires_at_idx ON one_time_tokens (expires_at);

-- A sign-in that is away at Discord. State and cookie are kept as hashes, and taken once.
CREATE TABLE oauth_states (
    hash         bytea CONSTRAINT oauth_states_pkey PRIMARY KEY
        CONSTRAINT oauth_states_hash_length CHECK (octet_length(hash) = 32),
    -- The browser that went must be the one that comes back.
    cookie_hash  bytea NOT NULL CONSTRAINT oauth_states_cookie_hash_length CHECK (octet_length(cookie_hash) = 32),
    -- The account the identity is to be linked to; none signs in.
    user_id      uuid CONSTRAINT oauth_states_user_id_fkey REFERENCES users ON DELETE CASCADE,
    redirect_uri text NOT NULL CONSTRAINT oauth_states_redirect_uri_length CHECK (char_length(redirect_uri) <= 2048),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX oauth_states_expires_at_idx ON oauth_states (expires_at);

-- Mail to be sent. Written with what it tells of; sent by whoever holds the lease.
CREATE TABLE mails (
    id              uuid CONSTRAINT mails_pkey PRIMARY KEY,
    user_id         uuid CONSTRAINT mails_user_id_fkey REFERENCES users ON DELETE CASCADE,
    kind            text NOT NULL CONSTRAINT mails_kind CHECK (kind IN (
        'verify_email', 'link_email', 'reset_password', 'password_changed', 'identity_linked',
        'identity_unlinked', 'session_reuse_detected', 'account_deleted')),
    state           text NOT NULL CONSTRAINT mails_state CHECK (state IN ('waiting', 'sent', 'dead')),
    -- Address and token; gone once the mail is.
    content_sealed  bytea,
    attempts        integer NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL,
    last_error_code text,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CONSTRAINT mails_waiting_have_content CHECK ((state = 'waiting') = (content_sealed IS NOT NULL)),
    CONSTRAINT mails_finished_say_when CHECK ((state = 'waiting') = (finished_at IS NULL))
);
CREATE INDEX mails_due_at_idx ON mails (due_at) WHERE state = 'waiting';
CREATE INDEX mails_finished_at_idx ON mails (finished_at) WHERE state <> 'waiting';

ALTER TABLE admins ENABLE ROW LEVEL SECURITY;
ALTER TABLE admins FORCE ROW LEVEL SECURITY;
ALTER TABLE passwords ENABLE ROW LEVEL SECURITY;
ALTER TABLE passwords FORCE ROW LEVEL SECURITY;
ALTER TABLE one_time_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE one_time_tokens FORCE ROW LEVEL SECURITY;
ALTER TABLE oauth_states ENABLE ROW LEVEL SECURITY;
ALTER TABLE oauth_states FORCE ROW LEVEL SECURITY;
ALTER TABLE mails ENABLE ROW LEVEL SECURITY;
ALTER TABLE mails FORCE ROW LEVEL SECURITY;

CREATE POLICY admins_auth ON admins TO satchel_auth USING (true);
CREATE POLICY admins_own ON admins TO satchel_api USING (user_id = (SELECT app_user_id()));
CREATE POLICY admins_jobs ON admins TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY users_admin ON users TO satchel_api
    USING ((SELECT app_is_admin())) WITH CHECK ((SELECT app_is_admin()));
CREATE POLICY users_jobs ON users TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY identities_admin ON identities TO satchel_api
    USING ((SELECT app_is_admin())) WITH CHECK ((SELECT app_is_admin()));
CREATE POLICY identities_jobs ON identities TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY passwords_auth ON passwords TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY passwords_jobs ON passwords TO satchel_jobs USING (true);
CREATE POLICY one_time_tokens_auth ON one_time_tokens TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY one_time_tokens_jobs ON one_time_tokens TO satchel_jobs USING (true);
CREATE POLICY oauth_states_auth ON oauth_states TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY oauth_states_jobs ON oauth_states TO satchel_jobs USING (true);
CREATE POLICY mails_auth ON mails TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY mails_own ON mails FOR INSERT TO satchel_api
    WITH CHECK (user_id = (SELECT app_user_id()) OR (SELECT app_is_admin()));
CREATE POLICY mails_jobs ON mails TO satchel_jobs USING (true) WITH CHECK (true);

GRANT SELECT ON admins TO satchel_auth, satchel_api;
GRANT SELECT, INSERT, DELETE ON admins TO satchel_jobs;
GRANT INSERT, UPDATE ON users TO satchel_api;
GRANT SELECT, UPDATE ON users TO satchel_jobs;
GRANT DELETE ON identities TO satchel_auth;
GRANT SELECT, DELETE ON identities TO satchel_jobs;
GRANT SELECT, INSERT, UPDATE, DELETE ON passwords TO satchel_auth;
GRANT SELECT (user_id), DELETE ON passwords TO satchel_jobs;
GRANT SELECT, INSERT, DELETE ON one_time_tokens TO satchel_auth;
GRANT SELECT, DELETE ON one_time_tokens TO satchel_jobs;
GRANT SELECT, INSERT, DELETE ON oauth_states TO satchel_auth;
GRANT SELECT, DELETE ON oauth_states TO satchel_jobs;
GRANT SELECT, INSERT, UPDATE ON mails TO satchel_auth;
GRANT INSERT ON mails TO satchel_api;
GRANT SELECT, UPDATE, DELETE ON mails TO satchel_jobs;
