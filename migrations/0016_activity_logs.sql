-- What people did, month by month, so that old months go in one piece.

-- An account's row is never deleted, so no constraint ties these to it: making or dropping a month would lock `users`
-- against every sign-in.
CREATE TABLE activity_logs (
    id         uuid NOT NULL,
    user_id    uuid NOT NULL,
    session_id uuid,
    action     text NOT NULL CONSTRAINT activity_logs_action_length CHECK (char_length(action) BETWEEN 1 AND 64),
    details    jsonb NOT NULL CONSTRAINT activity_logs_details_size CHECK (octet_length(details::text) <= 8192),
    ip         inet,
    created_at timestamptz NOT NULL,
    CONSTRAINT activity_logs_pkey PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX activity_logs_user_id_created_at_idx ON activity_logs (user_id, created_at, id);
-- For what has no month: nothing is refused, and the schedule moves it. Neither this nor a month is granted to anybody,
-- so the only way in is the table above, with its policies.
CREATE TABLE activity_logs_default PARTITION OF activity_logs DEFAULT;

ALTER TABLE activity_logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE activity_logs FORCE ROW LEVEL SECURITY;

CREATE POLICY activity_logs_own ON activity_logs TO satchel_api
    USING (user_id = (SELECT app_user_id())) WITH CHECK (user_id = (SELECT app_user_id()));
-- To read, and no more: what is in the log, its account did.
CREATE POLICY activity_logs_admin ON activity_logs FOR SELECT TO satchel_api USING ((SELECT app_is_admin()));
CREATE POLICY activity_logs_jobs ON activity_logs TO satchel_jobs USING (true);

GRANT SELECT, INSERT ON activity_logs TO satchel_api;
GRANT SELECT, DELETE ON activity_logs TO satchel_jobs;

-- Does the next thing there is to do for the months, and says what: one bounded step in one transaction, so that a run
-- may end anywhere and the next one goes on there. No row comes back when there is nothing to do.
--
-- There are months from the current one to three ahead; a month whose last moment is longer ago than `p_kept_days` is
-- detached, and dropped in a step of its own. Only the owner may do either, which is why this runs as the owner. It
-- reads partitions by their own names: the policies above hide everything from the owner too.
--
-- Of tables that are no partition it touches those alone that it named itself, `…_begun` and `…_past`. One with a
-- month's own name is somebody's who took the month out: it is left alone, and while it stands the month is not made.
CREATE FUNCTION keep_activity_logs(p_now timestamptz, p_kept_days integer)
    RETURNS TABLE (step text, month date, row_count bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    -- Who waits for a lock on a table stands in front of everybody who comes after.
    SET lock_timeout = '1s'
AS $$
DECLARE
    c_batch   CONSTANT integer := 20000;
    c_month   CONSTANT text := '^activity_logs_\d{4}_\d{2}$';
    c_begun   CONSTANT text := '^activity_logs_\d{4}_\d{2}_begun$';
    c_ours    CONSTANT text := '^activity_logs_\d{4}_\d{2}_(begun|past)$';
    v_current CONSTANT timestamptz := date_trunc('month', p_now);
    -- Months before this one are past.
    v_kept    timestamptz;
    v_month   timestamptz;
    v_table   text;
    v_begun   text;
    v_count   bigint;
    v_more    bigint;
BEGIN
    IF p_now IS NULL OR p_kept_days IS NULL OR p_kept_days < 1 THEN
        RAISE EXCEPTION 'a time and at least one day are needed' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    v_kept := date_trunc('month', p_now - make_interval(days => p_kept_days));
    PERFORM pg_advisory_xact_lock(7282437);

    -- A month that is missing: one of those ahead, one that rows wait for, or one that was begun.
    SELECT m.month INTO v_month
    FROM (SELECT generate_series(v_current, v_current + interval '3 months', interval '1 month')
          UNION
          SELECT DISTINCT date_trunc('month', d.created_at) FROM public.activity_logs_default d
          WHERE d.created_at >= v_kept AND d.created_at < v_current + interval '4 months'
          UNION
          SELECT CASE WHEN c.relname ~ c_begun THEN to_timestamp(substr(c.relname, 15, 7), 'YYYY_MM') END
          FROM pg_class c
          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
            AND c.relname ~ c_begun AND c.relname >= 'activity_logs_' || to_char(v_kept, 'YYYY_MM')
         ) AS m (month)
    WHERE to_regclass('public.activity_logs_' || to_char(m.month, 'YYYY_MM')) IS NULL
    ORDER BY m.month < v_current, m.month LIMIT 1;
    IF FOUND THEN
        v_table := 'activity_logs_' || to_char(v_month, 'YYYY_MM');
        v_begun := v_table || '_begun';
        IF to_regclass('public.' || v_begun) IS NULL THEN
            EXECUTE format('CREATE TABLE public.%I (LIKE public.activity_logs INCLUDING ALL)', v_begun);
        END IF;
        -- Rows that wait are copied before anybody is locked out, and seen in the default partition meanwhile.
        EXECUTE format(
            'INSERT INTO public.%1$I
             SELECT d.* FROM public.activity_logs_default d
             WHERE d.created_at >= $1 AND d.created_at < $2
               AND NOT EXISTS (SELECT FROM public.%1$I m WHERE m.id = d.id AND m.created_at = d.created_at)
             LIMIT $3', v_begun) USING v_month, v_month + interval '1 month', c_batch;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        IF v_count = c_batch THEN
            RETURN QUERY SELECT 'copied', v_month::date, v_count;
            RETURN;
        END IF;
        -- Whoever writes from here on waits, and then finds the month: nothing falls between the two.
        LOCK TABLE ONLY public.activity_logs IN SHARE ROW EXCLUSIVE MODE;
        LOCK TABLE public.activity_logs_default IN ACCESS EXCLUSIVE MODE;
        -- What was deleted since it was copied, and what was written.
        EXECUTE format(
            'DELETE FROM public.%1$I m WHERE NOT EXISTS (
                 SELECT FROM public.activity_logs_default d WHERE d.id = m.id AND d.created_at = m.created_at)',
            v_begun);
        EXECUTE format(
            'INSERT INTO public.%1$I
             SELECT d.* FROM public.activity_logs_default d
             WHERE d.created_at >= $1 AND d.created_at < $2
               AND NOT EXISTS (SELECT FROM public.%1$I m WHERE m.id = d.id AND m.created_at = d.created_at)', v_begun)
            USING v_month, v_month + interval '1 month';
        DELETE FROM public.activity_logs_default d
        WHERE d.created_at >= v_month AND d.created_at < v_month + interval '1 month';
        GET DIAGNOSTICS v_more = ROW_COUNT;
        EXECUTE format('ALTER TABLE public.%I RENAME TO %I', v_begun, v_table);
        EXECUTE format('ALTER TABLE public.activity_logs ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       v_table, v_month, v_month + interval '1 month');
        RETURN QUERY SELECT 'made', v_month::date, v_more;
        RETURN;
    END IF;

    DELETE FROM public.activity_logs_default d
    WHERE d.ctid = ANY (ARRAY(
        SELECT o.ctid FROM public.activity_logs_default o WHERE o.created_at < v_kept LIMIT c_batch));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count > 0 THEN
        RETURN QUERY SELECT 'deleted', NULL::date, v_count;
        RETURN;
    END IF;

    -- Before the next is detached: its name must be free.
    SELECT c.relname INTO v_table
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition AND c.relname ~ c_ours
      AND c.relname < 'activity_logs_' || to_char(v_kept, 'YYYY_MM')
    ORDER BY c.relname LIMIT 1;
    IF FOUND THEN
        EXECUTE format('DROP TABLE public.%I', v_table);
        RETURN QUERY SELECT 'dropped', to_date(substr(v_table, 15, 7), 'YYYY_MM'), 0::bigint;
        RETURN;
    END IF;

    SELECT c.relname INTO v_table
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.activity_logs'::regclass AND c.relname ~ c_month
      AND c.relname < 'activity_logs_' || to_char(v_kept, 'YYYY_MM')
    ORDER BY c.relname LIMIT 1;
    IF FOUND THEN
        EXECUTE format('ALTER TABLE public.activity_logs DETACH PARTITION public.%I', v_table);
        EXECUTE format('ALTER TABLE public.%I RENAME TO %I', v_table, v_table || '_past');
        RETURN QUERY SELECT 'detached', to_date(right(v_table, 7), 'YYYY_MM'), 0::bigint;
    END IF;
END
$$;

-- How many rows wait for a month. None do while the months ahead are there.
CREATE FUNCTION count_waiting_activity_logs() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT count(*) FROM public.activity_logs_default $$;

REVOKE ALL ON FUNCTION keep_activity_logs(timestamptz, integer), count_waiting_activity_logs() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_activity_logs(timestamptz, integer), count_waiting_activity_logs() TO satchel_jobs;

-- The first months.
DO $$
BEGIN
    WHILE EXISTS (SELECT FROM keep_activity_logs(now(), 90)) LOOP
    END LOOP;
END
$$;

-- Sessions are kept for their owner to look at for a while after their end, by which they are found.
CREATE INDEX sessions_revoked_at_idx ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- Of an account that is erased the node goes too: whoever it was may come back with it.
GRANT DELETE ON nodes TO satchel_jobs;
