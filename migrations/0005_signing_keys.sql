-- The public half of every key that signs or signed access tokens. What a key may do follows from the clock:
-- published at publish_at, signing from sign_at until a later one does, gone from the key set at retire_at.

CREATE TABLE signing_keys (
    kid        text CONSTRAINT signing_keys_pkey PRIMARY KEY,
    jwk        jsonb NOT NULL,
    publish_at timestamptz NOT NULL,
    sign_at    timestamptz NOT NULL,
    retire_at  timestamptz,
    CONSTRAINT signing_keys_published_first CHECK (publish_at <= sign_at)
);

GRANT SELECT ON signing_keys TO satchel_auth, satchel_api, satchel_jobs;
-- The first key of a deployment is published by whoever signs with it first; the others by the operator.
GRANT INSERT ON signing_keys TO satchel_auth;
GRANT INSERT, UPDATE ON signing_keys TO satchel_jobs;
