-- Who did what, in chains that show every row changed, taken out or put in. One chain per account, so that no
-- sign-in waits for another's; 64 for what belongs to no account.

CREATE TABLE audit_chains (
    chain text CONSTRAINT audit_chains_pkey PRIMARY KEY,
    count bigint NOT NULL DEFAULT 0,
    link  bytea NOT NULL DEFAULT ''
);

CREATE TABLE audit_logs (
    chain         text NOT NULL CONSTRAINT audit_logs_chain_fkey REFERENCES audit_chains,
    seq           bigint NOT NULL,
    id            uuid NOT NULL,
    user_id       uuid,
    action        text NOT NULL,
    resource_type text NOT NULL,
    resource_id   text NOT NULL,
    -- `json`, not `jsonb`: the link is made over the very text.
    details       json NOT NULL,
    ip            inet,
    request_id    text NOT NULL,
    created_at    timestamptz NOT NULL,
    link          bytea NOT NULL,
    CONSTRAINT audit_logs_pkey PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_logs_user_id_created_at_idx ON audit_logs (user_id, created_at);

-- The count and last link of every chain that grew since the last look, sealed: a tail cut off later shows.
CREATE TABLE audit_heads (
    chain     text NOT NULL,
    count     bigint NOT NULL,
    link      bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    seal      bytea NOT NULL,
    CONSTRAINT audit_heads_pkey PRIMARY KEY (chain, count)
);

ALTER TABLE audit_chains ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_chains FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_logs FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_heads FORCE ROW LEVEL SECURITY;

CREATE POLICY audit_chains_auth ON audit_chains TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY audit_chains_own ON audit_chains TO satchel_api
    USING (chain = (SELECT app_user_id())::text) WITH CHECK (chain = (SELECT app_user_id())::text);
CREATE POLICY audit_chains_jobs ON audit_chains TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY audit_logs_auth ON audit_logs TO satchel_auth USING (true) WITH CHECK (true);
CREATE POLICY audit_logs_own ON audit_logs TO satchel_api
    USING (chain = (SELECT app_user_id())::text) WITH CHECK (chain = (SELECT app_user_id())::text);
CREATE POLICY audit_logs_jobs ON audit_logs TO satchel_jobs USING (true) WITH CHECK (true);
CREATE POLICY audit_heads_jobs ON audit_heads TO satchel_jobs USING (true) WITH CHECK (true);

-- Append-only: nobody but the owner may change or delete a row, and the chains tell on the owner.
GRANT SELECT, INSERT ON audit_logs TO satchel_auth, satchel_api, satchel_jobs;
GRANT SELECT, INSERT, UPDATE ON audit_chains TO satchel_auth, satchel_api, satchel_jobs;
GRANT SELECT, INSERT ON audit_heads TO satchel_jobs;
