-- Addresses of wallets that accounts say are theirs, and locks that outlive a transaction.

CREATE TABLE wallets (
    user_id     uuid NOT NULL CONSTRAINT wallets_user_id_fkey REFERENCES users ON DELETE CASCADE,
    address     text NOT NULL CONSTRAINT wallets_address_length CHECK (char_length(address) BETWEEN 1 AND 128),
    -- When a provider that checked it said so. Without it, it is a claim, and anybody may claim anything.
    verified_at timestamptz,
    created_at  timestamptz NOT NULL,
    CONSTRAINT wallets_pkey PRIMARY KEY (user_id, address)
);
CREATE INDEX wallets_address_idx ON wallets (address);
CREATE UNIQUE INDEX wallets_one_proven_owner ON wallets (address) WHERE verified_at IS NOT NULL;

-- One holder at a time, for a time. The token is the fence: whoever writes under a lock shows that it is still the
-- one in this row. It follows the database's clock, so that a row cleaned away never hands out an old one again.
CREATE TABLE distributed_locks (
    name       text CONSTRAINT distributed_locks_pkey PRIMARY KEY
        CONSTRAINT distributed_locks_name_length CHECK (char_length(name) BETWEEN 1 AND 255),
    token      bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX distributed_locks_expires_at_idx ON distributed_locks (expires_at);

ALTER TABLE wallets ENABLE ROW LEVEL SECURITY;
ALTER TABLE wallets FORCE ROW LEVEL SECURITY;

CREATE POLICY wallets_auth ON wallets TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY wallets_own ON wallets TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY wallets_admin ON wallets TO satchel_api
    USING ((SELECT app_is_admin())) WITH CHECK ((SELECT app_is_admin()));
CREATE POLICY wallets_jobs ON wallets TO satchel_jobs USING (true);

-- Who signs people in by Privy writes down what Privy proved.
GRANT SELECT, INSERT, UPDATE (verified_at) ON wallets TO satchel_auth;
GRANT SELECT, INSERT ON wallets TO satchel_api;
GRANT SELECT, DELETE ON wallets TO satchel_jobs;
-- Released by expiring, so that the next token follows: only the clean-up deletes.
GRANT SELECT, INSERT, UPDATE ON distributed_locks TO satchel_api;
GRANT SELECT, DELETE ON distributed_locks TO satchel_jobs;
