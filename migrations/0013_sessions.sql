-- Sessions as their owner sees them: which device, which platform, where to push to.

ALTER TABLE sessions
    ADD device_id text CONSTRAINT sessions_device_id_length CHECK (char_length(device_id) BETWEEN 1 AND 128),
    ADD platform text CONSTRAINT sessions_platform CHECK (platform IN ('web', 'ios', 'android')),
    ADD push_token_sealed bytea,
    -- The session this one was made from, without a sign-in of its own. It never outlives what that one may, and ends
    -- with it.
    ADD parent_id uuid,
    ADD idempotency_key text
        CONSTRAINT sessions_idempotency_key_length CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    -- The same key is the same session, for ever.
    ADD CONSTRAINT sessions_user_id_idempotency_key_key UNIQUE (user_id, idempotency_key);
CREATE INDEX sessions_user_id_created_at_idx ON sessions (user_id, created_at, id);
CREATE INDEX sessions_parent_id_idx ON sessions (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX sessions_idle_expires_at_idx ON sessions (idle_expires_at);

-- As before, and says when the session's owner last proved who they are, and, if `p_admin` asks, whether they are
-- an administrator still. A session made from another one was opened without proof.
DROP FUNCTION enter_session(uuid, uuid, timestamptz);
CREATE FUNCTION enter_session(p_user_id uuid, p_session_id uuid, p_now timestamptz, p_admin boolean DEFAULT false)
    RETURNS TABLE (
        identity_kind text, identity_subject text, pubkey text, node_auth_at timestamptz,
        signed_in_at timestamptz, is_admin boolean)
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_catalog.set_config('app.user_id', p_user_id::text, true);
    RETURN QUERY
        SELECT s.identity_kind, s.identity_subject, s.pubkey, s.node_auth_at,
               CASE WHEN s.parent_id IS NULL THEN s.created_at END, p_admin AND app_is_admin()
        FROM sessions s
        WHERE s.id = p_session_id
          AND s.user_id = p_user_id
          AND s.revoked_at IS NULL
          AND s.idle_expires_at > p_now
          AND s.absolute_expires_at > p_now;
END
$$;

CREATE POLICY sessions_admin ON sessions TO satchel_api
    USING ((SELECT app_is_admin())) WITH CHECK ((SELECT app_is_admin()));

GRANT INSERT ON sessions TO satchel_api;
GRANT SELECT, DELETE ON sessions TO satchel_jobs;
GRANT UPDATE (revoked_at, revoked_reason, push_token_sealed) ON sessions TO satchel_jobs;

-- Who is signed in, in one round trip: counts the request against its session's limit, says whose transaction this is,
-- and whether the session stands; then reads the account. A request over the limit learns nothing else, and the account
-- of a session that has ended is not read: `id` is null then.
CREATE FUNCTION current_account(
        p_user_id uuid, p_session_id uuid, p_now timestamptz, p_admin boolean,
        p_key bytea, p_window_at timestamptz, p_quota integer)
    RETURNS TABLE (
        requests integer, id uuid, username text, display_name text, version bigint, created_at timestamptz,
        updated_at timestamptz, last_login_at timestamptz, last_active_at timestamptz, is_admin boolean,
        email text, email_verified boolean, discord_id text, discord_username text, privy_id text, pubkey text,
        dids text[])
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    total integer;
BEGIN
    INSERT INTO rate_limits AS r (key, window_at, count)
    VALUES (p_key, p_window_at, 1)
    ON CONFLICT ON CONSTRAINT rate_limits_pkey DO UPDATE SET count = r.count + 1
    RETURNING r.count INTO total;
    IF total <= p_quota THEN
        PERFORM pg_catalog.set_config('app.user_id', p_user_id::text, true);
        RETURN QUERY
            SELECT total, u.id, u.username, u.display_name, u.version, u.created_at, u.updated_at, u.last_login_at,
                   u.last_active_at, p_admin AND app_is_admin(), i.email, i.email_verified, i.discord_id,
                   i.discord_username, i.privy_id, i.pubkey, i.dids
            FROM sessions s
            JOIN users u ON u.id = s.user_id
            CROSS JOIN LATERAL (
                SELECT min(n.subject) FILTER (WHERE n.kind = 'email') AS email,
                       COALESCE(bool_or(n.verified_at IS NOT NULL) FILTER (WHERE n.kind = 'email'), false)
                           AS email_verified,
                       min(n.subject) FILTER (WHERE n.kind = 'discord') AS discord_id,
                       min(n.label) FILTER (WHERE n.kind = 'discord') AS discord_username,
                       min(n.subject) FILTER (WHERE n.kind = 'privy') AS privy_id,
                       min(n.subject) FILTER (WHERE n.kind = 'node') AS pubkey,
                       COALESCE(array_agg(n.subject ORDER BY n.created_at, n.subject)
                           FILTER (WHERE n.kind = 'did'), '{}') AS dids
                FROM identities n
                WHERE n.user_id = u.id AND n.retired_at IS NULL
            ) i
            WHERE s.id = p_session_id
              AND s.user_id = p_user_id
              AND s.revoked_at IS NULL
              AND s.idle_expires_at > p_now
              AND s.absolute_expires_at > p_now
              AND u.deleted_at IS NULL;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    requests := total;
    RETURN NEXT;
END
$$;
