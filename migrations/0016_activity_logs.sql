-- What people did, month by month, so that old months go in one piece.

CREATE TABLE activity_logs (
    id         uuid NOT NULL,
    user_id    uuid NOT NULL CONSTRAINT activity_logs_user_id_fkey REFERENCES users ON DELETE CASCADE,
    session_id uuid,
    action     text NOT NULL CONSTRAINT activity_logs_action_length CHECK (char_length(action) BETWEEN 1 AND 64),
    details    jsonb NOT NULL CONSTRAINT activity_logs_details_size CHECK (octet_length(details::text) <= 8192),
    ip         inet,
    created_at timestamptz NOT NULL,
    CONSTRAINT activity_logs_pkey PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX activity_logs_user_id_created_at_idx ON activity_logs (user_id, created_at, id);
CREATE TABLE activity_logs_default PARTITION OF activity_logs DEFAULT;

ALTER TABLE activity_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE activity_logs FORCE ROW LEVEL SECURITY;

CREATE POLICY activity_logs_own ON activity_logs TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
CREATE POLICY activity_logs_admin ON activity_logs TO satchel_api USING ((SELECT app_is_admin())) WITH CHECK (false);
CREATE POLICY activity_logs_jobs ON activity_logs TO satchel_jobs USING (true);

GRANT SELECT, INSERT ON activity_logs TO satchel_api;
GRANT SELECT, DELETE ON activity_logs TO satchel_jobs;
