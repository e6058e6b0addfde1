-- Accounts, the ways to sign in to them, and the sessions that came of it.

GRANT USAGE ON SCHEMA public TO satchel_auth, satchel_api, satchel_jobs;

-- The account a transaction acts for. A transaction-local setting reads as '' once its transaction is over,
-- and '' is nobody.
CREATE FUNCTION app_user_id() RETURNS uuid
    LANGUAGE sql STABLE
    SET search_path = pg_catalog
    RETURN NULLIF(current_setting('app.user_id', true), '')::uuid;

CREATE TABLE users (
    id            uuid CONSTRAINT users_pkey PRIMARY KEY,
    username      text CONSTRAINT users_username_length CHECK (char_length(username) BETWEEN 1 AND 64),
    display_name  text CONSTRAINT users_display_name_length CHECK (char_length(display_name) BETWEEN 1 AND 128),
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    last_login_at timestamptz,
    deleted_at    timestamptz
);

-- How an account signs in. A retired identity keeps its row, so that its subject is nobody else's, ever.
CREATE TABLE identities (
    user_id    uuid NOT NULL CONSTRAINT identities_user_id_fkey REFERENCES users ON DELETE CASCADE,
    kind       text NOT NULL
        CONSTRAINT identities_kind CHECK (kind IN ('did', 'node', 'email', 'discord', 'privy', 'lnurl')),
    subject    text NOT NULL CONSTRAINT identities_subject_length CHECK (char_length(subject) BETWEEN 1 AND 320),
    created_at timestamptz NOT NULL,
    retired_at timestamptz,
    CONSTRAINT identities_kind_subject_key UNIQUE (kind, subject)
);
CREATE INDEX identities_user_id_idx ON identities (user_id);
CREATE UNIQUE INDEX identities_one_node_per_user ON identities (user_id) WHERE kind = 'node' AND retired_at IS NULL;

CREATE TABLE sessions (
    id                  uuid CONSTRAINT sessions_pkey PRIMARY KEY,
    user_id             uuid NOT NULL CONSTRAINT sessions_user_id_fkey REFERENCES users ON DELETE CASCADE,
    identity_kind       text NOT NULL,
    identity_subject    text NOT NULL,
    pubkey              text,
    node_auth_at        timestamptz,
    refresh_key_sealed  bytea NOT NULL,
    refresh_counter     bigint NOT NULL DEFAULT 0,
    refreshed_at        timestamptz NOT NULL,
    created_at          timestamptz NOT NULL,
    last_seen_at        timestamptz NOT NULL,
    idle_expires_at     timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    revoked_at          timestamptz,
    revoked_reason      text,
    ip                  inet,
    user_agent          text CONSTRAINT sessions_user_agent_length CHECK (char_length(user_agent) <= 256)
);
CREATE INDEX sessions_user_id_node_auth_at_idx ON sessions (user_id, node_auth_at);

-- Says whose transaction this is and whether that session still stands, in one round trip.
CREATE FUNCTION enter_session(p_user_id uuid, p_session_id uuid, p_now timestamptz)
    RETURNS TABLE (identity_kind text, identity_subject text, pubkey text, node_auth_at timestamptz)
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_catalog.set_config('app.user_id', p_user_id::text, true);
    RETURN QUERY
        SELECT s.identity_kind, s.identity_subject, s.pubkey, s.node_auth_at
        FROM sessions s
        WHERE s.id = p_session_id
          AND s.user_id = p_user_id
          AND s.revoked_at IS NULL
          AND s.idle_expires_at > p_now
          AND s.absolute_expires_at > p_now;
END
$$;

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
ALTER TABLE identities ENABLE ROW LEVEL SECURITY;
ALTER TABLE identities FORCE ROW LEVEL SECURITY;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;

CREATE POLICY users_auth ON users TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY users_own ON users TO satchel_api USING (id = (SELECT app_user_id())) WITH CHECK (id = (SELECT app_user_id()));
CREATE POLICY identities_auth ON identities TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY identities_own ON identities TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY sessions_auth ON sessions TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY sessions_own ON sessions TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));

GRANT SELECT, INSERT, UPDATE ON users, identities, sessions TO satchel_auth;
GRANT SELECT ON users TO satchel_api;
GRANT SELECT, INSERT, UPDATE ON identities TO satchel_api;
GRANT SELECT, UPDATE ON sessions TO satchel_api;
