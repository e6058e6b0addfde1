-- Lightning setups: a saga's state, written before each call to the outside and after it, so that whatever
-- crashes, what was asked for is known. docs/setup.md has the steps.

-- SHA-256 of the certificate of a registered node whose certificate nobody vouches for.
ALTER TABLE nodes
    ADD COLUMN tls_cert_sha256 bytea CONSTRAINT nodes_tls_cert_sha256_length CHECK (octet_length(tls_cert_sha256) = 32);

CREATE TABLE lightning_setups (
    id                 uuid CONSTRAINT lightning_setups_pkey PRIMARY KEY,
    -- No cascade: an account that holds a store and a node is taken down by `satchel setup undo` first.
    user_id            uuid NOT NULL CONSTRAINT lightning_setups_user_id_fkey REFERENCES users,
    username           text NOT NULL CONSTRAINT lightning_setups_username_form CHECK (username ~ '^[a-z0-9._-]{1,64}$'),
    address            text NOT NULL
        CONSTRAINT lightning_setups_address_form CHECK (address ~ '^[a-z0-9._-]{1,64}@[a-z0-9.:-]{1,255}$'),
    node_source        text NOT NULL CONSTRAINT lightning_setups_node_source CHECK (node_source IN ('voltage', 'registered')),
    state              text NOT NULL
        CONSTRAINT lightning_setups_state CHECK (state IN ('running', 'failed', 'finished', 'undone')),
    step               text NOT NULL CONSTRAINT lightning_setups_step CHECK (step IN (
        'create_node', 'await_node', 'init_wallet', 'bake_macaroon', 'create_store', 'connect_node',
        'create_webhook', 'activate')),
    -- A new one for each node name: somebody else's wallet on a node means another node under another name.
    generation         integer NOT NULL DEFAULT 1,
    voltage_node_id    text,
    node_url           text,
    node_certificate   bytea,
    node_pubkey        text,
    wallet_initialised boolean NOT NULL DEFAULT false,
    btcpay_store_id    text,
    btcpay_webhook_id  text,
    -- When somebody may take this up: a lease while it lies ahead of whoever holds `lease_token`, a schedule otherwise.
    due_at             timestamptz NOT NULL,
    lease_token        bigint NOT NULL DEFAULT 0,
    runs               integer NOT NULL DEFAULT 0,
    failures           integer NOT NULL DEFAULT 0,
    waits              integer NOT NULL DEFAULT 0,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    finished_at        timestamptz,
    -- When the accounts at the providers were last searched for a second store or node of this setup.
    settled_at         timestamptz,
    -- An answer with another's id must not connect two users to one store.
    CONSTRAINT lightning_setups_voltage_node_id_key UNIQUE (voltage_node_id),
    CONSTRAINT lightning_setups_btcpay_store_id_key UNIQUE (btcpay_store_id),
    CONSTRAINT lightning_setups_finished_is_whole CHECK (state <> 'finished' OR
        (btcpay_store_id IS NOT NULL AND btcpay_webhook_id IS NOT NULL AND finished_at IS NOT NULL
         AND (node_source = 'voltage') = (voltage_node_id IS NOT NULL)))
);
CREATE UNIQUE INDEX lightning_setups_user_id_key ON lightning_setups (user_id) WHERE state <> 'undone';
CREATE UNIQUE INDEX lightning_setups_address_key ON lightning_setups (lower(address)) WHERE state <> 'undone';
-- What is due, and what is to be settled: as small as the work at hand, however many are finished.
CREATE INDEX lightning_setups_due_idx ON lightning_setups (due_at) WHERE state = 'running';
CREATE INDEX lightning_setups_unsettled_idx ON lightning_setups (finished_at) WHERE state = 'finished' AND settled_at IS NULL;

CREATE TABLE lightning_setup_steps (
    setup_id        uuid NOT NULL CONSTRAINT lightning_setup_steps_setup_id_fkey REFERENCES lightning_setups,
    user_id         uuid NOT NULL,
    name            text NOT NULL,
    state           text NOT NULL CONSTRAINT lightning_setup_steps_state CHECK (state IN ('running', 'done', 'failed', 'undone')),
    -- Counted before the call: an attempt on record may have reached the outside.
    attempts        integer NOT NULL,
    last_error_code text,
    begun_at        timestamptz NOT NULL,
    ended_at        timestamptz,
    CONSTRAINT lightning_setup_steps_pkey PRIMARY KEY (setup_id, name)
);

-- What a setup made and must not lose. Erased column by column as it is no longer needed.
CREATE TABLE lightning_setup_secrets (
    setup_id              uuid NOT NULL CONSTRAINT lightning_setup_secrets_pkey PRIMARY KEY
        CONSTRAINT lightning_setup_secrets_setup_id_fkey REFERENCES lightning_setups,
    user_id               uuid NOT NULL,
    password_sealed       bytea,
    root_key_sealed       bytea,
    seed_sealed           bytea,
    seed_handed_over_at   timestamptz,
    seed_handed_over_to   uuid,
    macaroon_sealed       bytea,
    webhook_secret_sealed bytea
);
CREATE INDEX lightning_setup_secrets_seed_idx ON lightning_setup_secrets (seed_handed_over_at)
    WHERE seed_sealed IS NOT NULL AND seed_handed_over_at IS NOT NULL;

-- Whom money reaches: a row is there when everything it names is there, and not before.
CREATE TABLE lightning_addresses (
    user_id              uuid CONSTRAINT lightning_addresses_pkey PRIMARY KEY
        CONSTRAINT lightning_addresses_user_id_fkey REFERENCES users,
    setup_id             uuid NOT NULL CONSTRAINT lightning_addresses_setup_id_fkey REFERENCES lightning_setups,
    username             text NOT NULL,
    address              text NOT NULL,
    btcpay_store_id      text NOT NULL,
    voltage_node_id      text,
    node_id              text,
    btcpay_config_sealed bytea NOT NULL,
    node_config_sealed   bytea NOT NULL,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    CONSTRAINT lightning_addresses_setup_id_key UNIQUE (setup_id),
    CONSTRAINT lightning_addresses_btcpay_store_id_key UNIQUE (btcpay_store_id),
    CONSTRAINT lightning_addresses_voltage_node_id_key UNIQUE (voltage_node_id),
    CONSTRAINT lightning_addresses_has_a_store CHECK (btcpay_store_id <> ''),
    CONSTRAINT lightning_addresses_has_one_node CHECK (num_nonnulls(voltage_node_id, node_id) = 1)
);
CREATE UNIQUE INDEX lightning_addresses_address_key ON lightning_addresses (lower(address));

-- Every operation, failed ones in a transaction of their own. What an operator reads first.
CREATE TABLE lightning_setup_log (
    id         bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT lightning_setup_log_pkey PRIMARY KEY,
    setup_id   uuid NOT NULL CONSTRAINT lightning_setup_log_setup_id_fkey REFERENCES lightning_setups,
    user_id    uuid NOT NULL,
    step       text NOT NULL,
    event      text NOT NULL CONSTRAINT lightning_setup_log_event CHECK (event IN (
        'begun', 'taken_up', 'done', 'waiting', 'failed', 'given_up', 'started_over', 'retried', 'activated',
        'handed_over', 'extra_deleted', 'unlocked', 'undone')),
    attempt    integer NOT NULL,
    error_code text,
    detail     text CONSTRAINT lightning_setup_log_detail_length CHECK (char_length(detail) <= 400),
    created_at timestamptz NOT NULL
);
CREATE INDEX lightning_setup_log_setup_id_idx ON lightning_setup_log (setup_id, id);

-- Addresses brought over from another system, ids missing and all; `satchel setup repair` drives each to the end.
CREATE TABLE imported_lightning_addresses (
    user_id         uuid CONSTRAINT imported_lightning_addresses_pkey PRIMARY KEY
        CONSTRAINT imported_lightning_addresses_user_id_fkey REFERENCES users,
    address         text NOT NULL,
    btcpay_store_id text,
    voltage_node_id text,
    imported_at     timestamptz NOT NULL,
    setup_id        uuid CONSTRAINT imported_lightning_addresses_setup_id_fkey REFERENCES lightning_setups
);

-- What `sweep_orphans` found at the providers and no setup owns. Deleted only by name of a report that is old enough.
CREATE TABLE orphan_reports (
    id         uuid CONSTRAINT orphan_reports_pkey PRIMARY KEY,
    items      jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    applied_at timestamptz
);
CREATE INDEX orphan_reports_created_at_idx ON orphan_reports (created_at);

-- Makes a setup's work count: the address, its sealed configurations, the end of the setup and its log row, all or
-- nothing. False when the lease is another's by now.
CREATE FUNCTION setup_lightning_atomic(
    p_setup_id uuid, p_lease_token bigint, p_btcpay_config_sealed bytea, p_node_config_sealed bytea, p_now timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    setup  lightning_setups%ROWTYPE;
    tries  integer;
BEGIN
    SELECT * INTO setup FROM lightning_setups WHERE id = p_setup_id FOR UPDATE;
    IF setup.user_id IS NULL OR setup.user_id IS DISTINCT FROM app_user_id() THEN
        RAISE insufficient_privilege USING MESSAGE = 'the setup is not the account''s this transaction acts for';
    END IF;
    IF setup.state <> 'running' OR setup.lease_token <> p_lease_token THEN
        RETURN false;
    END IF;
    INSERT INTO lightning_addresses
        (user_id, setup_id, username, address, btcpay_store_id, voltage_node_id, node_id,
         btcpay_config_sealed, node_config_sealed, created_at, updated_at)
    VALUES
        (setup.user_id, setup.id, setup.username, setup.address, setup.btcpay_store_id, setup.voltage_node_id,
         CASE setup.node_source WHEN 'registered'
              THEN (SELECT n.node_id FROM nodes n WHERE n.user_id = setup.user_id) END,
         p_btcpay_config_sealed, p_node_config_sealed, p_now, p_now);
    UPDATE lightning_setups
        SET state = 'finished', step = 'activate', finished_at = p_now, updated_at = p_now, failures = 0, waits = 0
        WHERE id = setup.id;
    INSERT INTO lightning_setup_steps AS s (setup_id, user_id, name, state, attempts, begun_at, ended_at)
        VALUES (setup.id, setup.user_id, 'activate', 'done', 1, p_now, p_now)
        ON CONFLICT ON CONSTRAINT lightning_setup_steps_pkey
        DO UPDATE SET state = 'done', attempts = s.attempts + 1, last_error_code = NULL, ended_at = p_now
        RETURNING s.attempts INTO tries;
    INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
        VALUES (setup.id, setup.user_id, 'activate', 'activated', tries, p_now);
    -- From here on they stand in the sealed configurations.
    UPDATE lightning_setup_secrets SET macaroon_sealed = NULL, webhook_secret_sealed = NULL WHERE setup_id = setup.id;
    RETURN true;
END
$$;

ALTER TABLE lightning_setups ENABLE ROW LEVEL SECURITY;
ALTER TABLE lightning_setups FORCE ROW LEVEL SECURITY;
ALTER TABLE lightning_setup_steps ENABLE ROW LEVEL SECURITY;
ALTER TABLE lightning_setup_steps FORCE ROW LEVEL SECURITY;
ALTER TABLE lightning_setup_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE lightning_setup_secrets FORCE ROW LEVEL SECURITY;
ALTER TABLE lightning_addresses ENABLE ROW LEVEL SECURITY;
ALTER TABLE lightning_addresses FORCE ROW LEVEL SECURITY;
ALTER TABLE lightning_setup_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE lightning_setup_log FORCE ROW LEVEL SECURITY;
ALTER TABLE imported_lightning_addresses ENABLE ROW LEVEL SECURITY;
ALTER TABLE imported_lightning_addresses FORCE ROW LEVEL SECURITY;

CREATE POLICY lightning_setups_auth ON lightning_setups TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY lightning_setups_own ON lightning_setups TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY lightning_setups_jobs ON lightning_setups TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY lightning_setup_steps_own ON lightning_setup_steps TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY lightning_setup_steps_jobs ON lightning_setup_steps TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY lightning_setup_secrets_own ON lightning_setup_secrets TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY lightning_setup_secrets_jobs ON lightning_setup_secrets TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY lightning_addresses_own ON lightning_addresses TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY lightning_addresses_jobs ON lightning_addresses TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY lightning_setup_log_auth ON lightning_setup_log TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY lightning_setup_log_own ON lightning_setup_log TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY lightning_setup_log_jobs ON lightning_setup_log TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY imported_lightning_addresses_jobs ON imported_lightning_addresses TO satchel_jobs
    USING (true) WITH CHECK (true);
CREATE POLICY nodes_jobs ON nodes TO satchel_jobs USING (true);

-- Sign-in writes the wish for a setup down, and no more.
GRANT SELECT, INSERT ON lightning_setups TO satchel_auth;
GRANT INSERT ON lightning_setup_log TO satchel_auth;
GRANT SELECT, INSERT, UPDATE ON lightning_setups, lightning_setup_steps TO satchel_api, satchel_jobs;
GRANT SELECT, INSERT ON lightning_setup_log TO satchel_api, satchel_jobs;
-- What faces the internet puts wallet password and root key away and cannot read them back.
GRANT INSERT, UPDATE ON lightning_setup_secrets TO satchel_api, satchel_jobs;
GRANT SELECT (setup_id, user_id, seed_sealed, seed_handed_over_at, seed_handed_over_to, macaroon_sealed, webhook_secret_sealed)
    ON lightning_setup_secrets TO satchel_api;
GRANT SELECT ON lightning_setup_secrets TO satchel_jobs;
GRANT SELECT, INSERT ON lightning_addresses TO satchel_api;
GRANT SELECT, INSERT, DELETE ON lightning_addresses TO satchel_jobs;
GRANT SELECT, INSERT, UPDATE ON imported_lightning_addresses TO satchel_jobs;
GRANT SELECT, INSERT, UPDATE ON orphan_reports TO satchel_jobs;
-- A setup on a registered node connects that node.
GRANT SELECT ON nodes TO satchel_jobs;
