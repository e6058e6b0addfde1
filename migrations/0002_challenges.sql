-- What a node is asked to sign: once, for one purpose, for a short time.

CREATE TABLE challenges (
    id             uuid CONSTRAINT challenges_pkey PRIMARY KEY,
    did            text NOT NULL CONSTRAINT challenges_did_length CHECK (char_length(did) BETWEEN 1 AND 128),
    challenge_type text NOT NULL CONSTRAINT challenges_challenge_type CHECK (challenge_type IN (
        'default_registration', 'litd_account_creation', 'mnemonic_login', 'qrcode_login', 'privkey_login',
        'securestorage_login', 'send_btc_or_internal_account_rebalance', 'node_link', 'node_rebind')),
    title          text NOT NULL CONSTRAINT challenges_title_length CHECK (octet_length(title) <= 1024),
    status         text NOT NULL DEFAULT 'pending'
        CONSTRAINT challenges_status CHECK (status IN ('pending', 'confirmed')),
    wrong_answers  integer NOT NULL DEFAULT 0,
    amount_msat    bigint CONSTRAINT challenges_amount_msat CHECK (amount_msat > 0),
    destination    text,
    user_id        uuid CONSTRAINT challenges_user_id_fkey REFERENCES users ON DELETE CASCADE,
    new_pubkey     text,
    issued_at      timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    confirmed_at   timestamptz,
    CONSTRAINT challenges_money_is_named CHECK
        ((challenge_type = 'send_btc_or_internal_account_rebalance') = (amount_msat IS NOT NULL AND destination IS NOT NULL)),
    CONSTRAINT challenges_key_change_is_owned CHECK
        ((challenge_type IN ('node_link', 'node_rebind')) = (user_id IS NOT NULL AND new_pubkey IS NOT NULL))
);
CREATE INDEX challenges_expires_at_idx ON challenges (expires_at);

ALTER TABLE challenges ENABLE ROW LEVEL SECURITY;
ALTER TABLE challenges FORCE ROW LEVEL SECURITY;

CREATE POLICY challenges_auth ON challenges TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY challenges_own ON challenges TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY challenges_jobs ON challenges TO satchel_jobs USING (true);

GRANT SELECT, INSERT, UPDATE ON challenges TO satchel_auth;
GRANT SELECT, UPDATE ON challenges TO satchel_api;
GRANT SELECT, DELETE ON challenges TO satchel_jobs;
