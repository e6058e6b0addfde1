-- Sessions as their owner sees them: which device, which platform, where to push to.

ALTER TABLE sessions
    ADD device_id text CONSTRAINT sessions_device_id_length CHECK (char_length(device_id) BETWEEN 1 AND 128),
    ADD platform text CONSTRAINT sessions_platform CHECK (platform IN ('web', 'ios', 'android')),
    ADD push_token_sealed bytea,
    -- The session this one was made from, without a sign-in of its own. It never outlives what that one may.
    ADD parent_id uuid,
    ADD idempotency_key text
        CONSTRAINT sessions_idempotency_key_length CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    -- The same key is the same session, for ever.
    ADD CONSTRAINT sessions_user_id_idempotency_key_key UNIQUE (user_id, idempotency_key);
CREATE INDEX sessions_user_id_created_at_idx ON sessions (user_id, created_at, id);
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
