-- Moving sealed values to a newer key: how far that has come, and what the operator's tool may touch for it.

-- One row for each sealed column on its way to a key. Written with each batch, so that a run cut short goes on there.
CREATE TABLE reseal_progress (
    purpose     text NOT NULL,
    key_id      bigint NOT NULL,
    table_name  text NOT NULL,
    column_name text NOT NULL,
    -- The primary key of the last row looked at.
    reached     text,
    resealed    bigint NOT NULL DEFAULT 0,
    -- When a value of an older key was last met: the older key is kept for a while after that.
    found_at    timestamptz,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT reseal_progress_pkey PRIMARY KEY (purpose, key_id, table_name, column_name)
);

ALTER TABLE reseal_progress ENABLE ROW LEVEL SECURITY;
ALTER TABLE reseal_progress FORCE ROW LEVEL SECURITY;

CREATE POLICY reseal_progress_jobs ON reseal_progress TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY sessions_jobs ON sessions TO satchel_jobs USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE ON reseal_progress TO satchel_jobs;
-- The sealed value and what it is sealed to; of a session nothing else.
GRANT SELECT (id, refresh_key_sealed), UPDATE (refresh_key_sealed) ON sessions TO satchel_jobs;
GRANT UPDATE (macaroon_sealed) ON nodes TO satchel_jobs;
GRANT UPDATE (reply_sealed) ON idempotency_keys TO satchel_jobs;
GRANT UPDATE (btcpay_config_sealed, node_config_sealed) ON lightning_addresses TO satchel_jobs;
