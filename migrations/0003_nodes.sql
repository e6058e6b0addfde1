-- The node a user registered: where it is, and the narrow macaroon that lets us make invoices on it.

CREATE TABLE nodes (
    user_id         uuid CONSTRAINT nodes_pkey PRIMARY KEY
        CONSTRAINT nodes_user_id_fkey REFERENCES users ON DELETE CASCADE,
    did             text NOT NULL,
    node_id         text NOT NULL CONSTRAINT nodes_node_id_length CHECK (char_length(node_id) BETWEEN 1 AND 64),
    pubkey          text NOT NULL CONSTRAINT nodes_pubkey_form CHECK (pubkey ~ '^0[23][0-9a-f]{64}$'),
    endpoint        text CONSTRAINT nodes_endpoint_length CHECK (char_length(endpoint) BETWEEN 1 AND 512),
    macaroon_sealed bytea,
    status          text NOT NULL DEFAULT 'active' CONSTRAINT nodes_status CHECK (status IN ('active', 'unreachable')),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    CONSTRAINT nodes_pubkey_key UNIQUE (pubkey),
    CONSTRAINT nodes_node_id_endpoint_key UNIQUE (node_id, endpoint)
);

ALTER TABLE nodes ENABLE ROW LEVEL SECURITY;
ALTER TABLE nodes FORCE ROW LEVEL SECURITY;

CREATE POLICY nodes_own ON nodes TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));

GRANT SELECT, INSERT, UPDATE ON nodes TO satchel_api;
