-- One circuit breaker per provider for all functions together; of LND, whose nodes have nothing to do with each other,
-- one per host. Unlogged: it tells of the last half minute, and a crash that forgets it closes every breaker.

CREATE UNLOGGED TABLE provider_breakers (
    provider    text NOT NULL,
    -- Empty: the provider as a whole.
    host        text NOT NULL DEFAULT '',
    window_at   timestamptz NOT NULL,
    calls       integer NOT NULL,
    failures    integer NOT NULL,
    opened_at   timestamptz,
    -- Until when the one call that may try an open breaker has to come back.
    probe_until timestamptz,
    CONSTRAINT provider_breakers_pkey PRIMARY KEY (provider, host)
);

-- Counts calls and says since when the breaker is open, if it is. With no calls it only says so.
CREATE FUNCTION breaker_count(
    p_provider text, p_host text, p_calls integer, p_failures integer, p_window interval, p_least_calls integer,
    p_now timestamptz)
    RETURNS timestamptz
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    breaker provider_breakers%ROWTYPE;
BEGIN
    IF p_calls = 0 THEN
        RETURN (SELECT b.opened_at FROM provider_breakers b WHERE b.provider = p_provider AND b.host = p_host);
    END IF;
    INSERT INTO provider_breakers AS b (provider, host, window_at, calls, failures)
    VALUES (p_provider, p_host, p_now, p_calls, p_failures)
    ON CONFLICT ON CONSTRAINT provider_breakers_pkey DO UPDATE SET
        window_at = CASE WHEN b.window_at + p_window <= p_now THEN p_now ELSE b.window_at END,
        calls = p_calls + CASE WHEN b.window_at + p_window <= p_now THEN 0 ELSE b.calls END,
        failures = p_failures + CASE WHEN b.window_at + p_window <= p_now THEN 0 ELSE b.failures END
    RETURNING * INTO breaker;
    IF breaker.opened_at IS NULL AND breaker.calls >= p_least_calls AND breaker.failures * 2 >= breaker.calls THEN
        UPDATE provider_breakers b SET opened_at = p_now, probe_until = NULL
        WHERE b.provider = p_provider AND b.host = p_host
        RETURNING b.opened_at INTO breaker.opened_at;
    END IF;
    RETURN breaker.opened_at;
END
$$;

GRANT SELECT, INSERT, UPDATE ON provider_breakers TO satchel_api, satchel_jobs;
GRANT DELETE ON provider_breakers TO satchel_jobs;
GRANT SELECT ON provider_breakers TO satchel_auth;
