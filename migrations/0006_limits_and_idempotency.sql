-- Requests counted per window. Unlogged: counting costs no flush, and a crash forgets a minute of counts.

CREATE UNLOGGED TABLE rate_limits (
    key       bytea NOT NULL,
    window_at timestamptz NOT NULL,
    count     integer NOT NULL,
    CONSTRAINT rate_limits_pkey PRIMARY KEY (key, window_at)
);
CREATE INDEX rate_limits_window_at_idx ON rate_limits (window_at);

-- Adds one to each key's count and returns the counts in the order of the keys. The keys are locked in one
-- order, so that two callers sharing two keys do not wait for each other for ever.
CREATE FUNCTION count_request(p_keys bytea[], p_window_at timestamptz) RETURNS integer[]
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    counts integer[] := array_fill(0, ARRAY[cardinality(p_keys)]);
    place  integer;
    total  integer;
BEGIN
    FOR place IN SELECT o.place FROM unnest(p_keys) WITH ORDINALITY AS o (key, place) ORDER BY o.key LOOP
        INSERT INTO rate_limits AS r (key, window_at, count)
        VALUES (p_keys[place], p_window_at, 1)
        ON CONFLICT (key, window_at) DO UPDATE SET count = r.count + 1
        RETURNING r.count INTO total;
        counts[place] := total;
    END LOOP;
    RETURN counts;
END
$$;

GRANT SELECT, INSERT, UPDATE ON rate_limits TO satchel_auth, satchel_api;
GRANT SELECT, DELETE ON rate_limits TO satchel_jobs;

-- Answers already given, by the caller's own key. Written in the transaction of the work itself, so that the
-- work and its answer are there together or not at all.
CREATE TABLE idempotency_keys (
    user_id      uuid NOT NULL CONSTRAINT idempotency_keys_user_id_fkey REFERENCES users ON DELETE CASCADE,
    route        text NOT NULL,
    key          text NOT NULL CONSTRAINT idempotency_keys_key_length CHECK (char_length(key) BETWEEN 1 AND 255),
    fingerprint  bytea NOT NULL,
    status       integer,
    reply_sealed bytea,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, route, key)
);
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;

CREATE POLICY idempotency_keys_own ON idempotency_keys TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY idempotency_keys_jobs ON idempotency_keys TO satchel_jobs USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO satchel_api;
GRANT SELECT, DELETE ON idempotency_keys TO satchel_jobs;
