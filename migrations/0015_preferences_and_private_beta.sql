-- What people want to be told, and who was let in early.

-- An account without a row has the defaults. What concerns its safety is mailed whatever stands here.
CREATE TABLE notification_preferences (
    user_id        uuid CONSTRAINT notification_preferences_pkey PRIMARY KEY
        CONSTRAINT notification_preferences_user_id_fkey REFERENCES users ON DELETE CASCADE,
    email_payments boolean NOT NULL,
    email_sessions boolean NOT NULL,
    email_news     boolean NOT NULL,
    push_payments  boolean NOT NULL,
    push_sessions  boolean NOT NULL,
    push_news      boolean NOT NULL,
    version        bigint NOT NULL,
    updated_at     timestamptz NOT NULL
);

-- One row for each referral key, and whoever came with it.
CREATE TABLE private_beta_users (
    id           uuid CONSTRAINT private_beta_users_pkey PRIMARY KEY,
    referral_key text NOT NULL CONSTRAINT private_beta_users_referral_key_key UNIQUE
        CONSTRAINT private_beta_users_referral_key_length CHECK (char_length(referral_key) BETWEEN 8 AND 64),
    -- Who came with it; none yet is an unused key.
    email        text CONSTRAINT private_beta_users_email_length CHECK (char_length(email) BETWEEN 3 AND 254),
    -- Whoever came with it had come with another key before. It is spent all the same and lets nobody else in: an
    -- answer that told the difference would tell everybody with a key who is in.
    repeated     boolean NOT NULL DEFAULT false,
    created_by   uuid,
    created_at   timestamptz NOT NULL,
    verified_at  timestamptz,
    CONSTRAINT private_beta_users_used_are_whole CHECK ((email IS NULL) = (verified_at IS NULL)),
    CONSTRAINT private_beta_users_repeated_are_used CHECK (email IS NOT NULL OR NOT repeated)
);
-- One e-mail is let in by one key.
CREATE UNIQUE INDEX private_beta_users_email_key ON private_beta_users (email) WHERE NOT repeated;
CREATE INDEX private_beta_users_created_at_idx ON private_beta_users (created_at, id);

ALTER TABLE notification_preferences ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_preferences FORCE ROW LEVEL SECURITY;
ALTER TABLE private_beta_users ENABLE ROW LEVEL SECURITY;
ALTER TABLE private_beta_users FORCE ROW LEVEL SECURITY;

CREATE POLICY notification_preferences_own ON notification_preferences TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY notification_preferences_admin ON notification_preferences TO satchel_api
    USING ((SELECT app_is_admin())) WITH CHECK ((SELECT app_is_admin()));
CREATE POLICY notification_preferences_jobs ON notification_preferences TO satchel_jobs USING (true);
CREATE POLICY private_beta_users_auth ON private_beta_users TO satchel_auth USING (true) WITH CHECK (true);
-- What mints keys keeps its answers by the caller's Idempotency-Key. It is satchel_auth, because the rest of the private
-- beta is for people without an account; the other way round, whatever a signed-in user can reach could have read every
-- e-mail that was let in. It sees the caller's own answers of these routes, and no others.
CREATE POLICY idempotency_keys_auth ON idempotency_keys TO satchel_auth
    USING (user_id = (SELECT app_user_id()) AND route LIKE 'POST /v1/private-beta/referral%')
    WITH CHECK (user_id = (SELECT app_user_id()) AND route LIKE 'POST /v1/private-beta/referral%');

GRANT SELECT, INSERT, UPDATE ON notification_preferences TO satchel_api;
GRANT SELECT, DELETE ON notification_preferences TO satchel_jobs;
GRANT SELECT, INSERT, UPDATE ON private_beta_users TO satchel_auth;
GRANT SELECT, INSERT, UPDATE ON idempotency_keys TO satchel_auth;
