//! Which role may do what to which table. Change this list with the migration that changes it.

use shared::db::roles::Role;
use testing::{Result, TestDb};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Table, whether its rows are guarded, and what the four working roles may: Select, Insert, Update, Delete.
/// The owner may do anything to every table, and sees no row of a guarded one.
const TABLES: [(&str, bool, [&str; 4]); 42] = [
    //                           auth   api     hooks  jobs
    // Its months are granted to nobody.
    ("activity_logs", true, ["", "SI", "", "SD"]),
    ("admins", true, ["S", "S", "", "SID"]),
    ("audit_chains", true, ["SIU", "SIU", "SIU", "SIU"]),
    ("audit_heads", true, ["", "", "", "SI"]),
    ("audit_logs", true, ["SI", "SI", "SI", "SI"]),
    ("challenges", true, ["SIU", "SU", "", "SD"]),
    ("connected_accounts", true, ["", "", "SIU", "SIU"]),
    ("distributed_locks", false, ["", "SIU", "", "SD"]),
    ("idempotency_keys", true, ["SIU", "SIUD", "", "SD"]),
    ("identities", true, ["SIUD", "SIU", "", "SD"]),
    ("imported_lightning_addresses", true, ["", "", "", "SIU"]),
    ("invoices", true, ["", "SIU", "", "S"]),
    // Append-only, for everybody.
    ("ledger", true, ["", "", "SI", "SI"]),
    ("lightning_addresses", true, ["", "SI", "", "SID"]),
    ("lightning_setup_log", true, ["I", "SI", "", "SI"]),
    ("lightning_setup_log_id_seq", false, ["", "", "", ""]),
    // The API reads some columns of it, and none that opens a wallet.
    ("lightning_setup_secrets", true, ["", "IU", "", "SIU"]),
    ("lightning_setup_steps", true, ["", "SIU", "", "SIU"]),
    ("lightning_setups", true, ["SI", "SIU", "", "SIU"]),
    ("mails", true, ["SIU", "I", "", "SUD"]),
    ("nodes", true, ["", "SIU", "", "SD"]),
    ("notification_preferences", true, ["", "SIU", "", "SD"]),
    ("oauth_states", true, ["SID", "", "", "SD"]),
    ("one_time_tokens", true, ["SID", "", "", "SD"]),
    ("orphan_reports", false, ["", "", "", "SIU"]),
    ("outbox", true, ["", "", "I", "SIUD"]),
    // Nobody reads a hash but who signs people in.
    ("passwords", true, ["SIUD", "", "", "D"]),
    ("payment_objects", true, ["", "", "SIU", "SIU"]),
    // Whoever begins payments cannot say what became of them, and who says that begins none: the columns are below.
    ("payments", true, ["", "S", "S", "SIU"]),
    ("payouts", true, ["", "", "SIU", "SIU"]),
    ("private_beta_users", true, ["SIU", "", "", ""]),
    ("provider_breakers", false, ["S", "SIU", "SIU", "SIUD"]),
    ("rate_limits", false, ["SIU", "SIU", "", "SD"]),
    ("reconcile_cursors", true, ["", "", "", "SIU"]),
    ("reseal_progress", true, ["", "", "", "SIU"]),
    ("schema_migrations", false, ["", "", "", ""]),
    ("sessions", true, ["SIU", "SIU", "", "SD"]),
    ("signing_keys", false, ["SI", "S", "", "SIU"]),
    ("subscriptions", true, ["", "S", "SIU", "SIU"]),
    ("users", true, ["SIU", "SIU", "", "SU"]),
    ("wallets", true, ["SI", "SI", "", "SD"]),
    ("webhook_events", true, ["", "", "SI", "SIUD"]),
];

#[tokio::test]
async fn every_role_may_do_to_every_table_just_what_is_listed() -> Result<()> {
    let db = TestDb::create().await?;
    let found = db
        .admin()
        .await?
        .query_typed(
            "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, pg_get_userbyid(c.relowner),
                    ARRAY(SELECT (SELECT COALESCE(string_agg(letter, '' ORDER BY place), '')
                                  FROM (VALUES ('SELECT', 'S', 1), ('INSERT', 'I', 2), ('UPDATE', 'U', 3),
                                               ('DELETE', 'D', 4), ('TRUNCATE', 'T', 5), ('REFERENCES', 'R', 6),
                                               ('TRIGGER', 'G', 7)) AS p (privilege, letter, place)
                                  WHERE has_table_privilege(role, c.oid, privilege))
                          FROM unnest(ARRAY['satchel_auth', 'satchel_api', 'satchel_webhooks', 'satchel_jobs', 'public'])
                               WITH ORDINALITY AS r (role, nth) ORDER BY nth)
             FROM pg_class c
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
               AND NOT c.relispartition
             ORDER BY c.relname",
            &[],
        )
        .await?;
    let found: Vec<(String, bool, String, Vec<String>)> =
        found.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let expected: Vec<_> = TABLES
        .iter()
        .map(|(table, guarded, roles)| {
            let mut roles: Vec<String> = roles.map(str::to_owned).into();
            roles.push(String::new());
            ((*table).to_owned(), *guarded, "satchel_owner".to_owned(), roles)
        })
        .collect();
    assert_eq!(found, expected);
    Ok(())
}

/// Columns that may be read of a table that may not be read whole.
const COLUMNS: [(&str, &str, &str); 4] = [
    ("lightning_addresses", "satchel_webhooks", "btcpay_config_sealed btcpay_store_id user_id"),
    (
        "lightning_setup_secrets",
        "satchel_api",
        "macaroon_sealed seed_handed_over_at seed_handed_over_to seed_sealed setup_id user_id webhook_secret_sealed",
    ),
    // What it takes to know that a message is there already.
    ("outbox", "satchel_webhooks", "key topic version"),
    // Whose it is, to delete it.
    ("passwords", "satchel_jobs", "user_id"),
];

#[tokio::test]
async fn of_a_table_that_is_not_theirs_whole_they_read_just_the_columns_listed() -> Result<()> {
    let db = TestDb::create().await?;
    let found = "SELECT table_name::text, grantee::text, string_agg(column_name, ' ' ORDER BY column_name COLLATE \"C\")
                 FROM information_schema.column_privileges
                 WHERE table_schema = 'public' AND privilege_type = 'SELECT' AND grantee LIKE 'satchel\\_%'
                   AND NOT has_table_privilege(grantee, format('public.%I', table_name), 'SELECT')
                 GROUP BY 1, 2 ORDER BY 1, 2";
    let found = db.admin().await?.query_typed(found, &[]).await?;
    let found: Vec<(&str, &str, &str)> =
        found.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(found, COLUMNS);
    Ok(())
}

/// Columns that may be written of a table that may not be written whole: table, role, Insert or Update.
const WRITABLE: [(&str, &str, &str, &str); 8] = [
    ("idempotency_keys", "satchel_jobs", "UPDATE", "reply_sealed"),
    ("lightning_addresses", "satchel_jobs", "UPDATE", "btcpay_config_sealed node_config_sealed"),
    ("nodes", "satchel_jobs", "UPDATE", "macaroon_sealed"),
    (
        "payments",
        "satchel_api",
        "INSERT",
        "account amount_minor created_at currency expires_at id poll_at provider updated_at user_id",
    ),
    (
        "payments",
        "satchel_webhooks",
        "UPDATE",
        "entitled late manually_marked poll_at received_minor refunded_minor state updated_at version",
    ),
    ("sessions", "satchel_jobs", "UPDATE", "push_token_sealed refresh_key_sealed revoked_at revoked_reason"),
    ("wallets", "satchel_auth", "UPDATE", "verified_at"),
    ("webhook_events", "satchel_webhooks", "UPDATE", "attempts due_at finished_at last_error_code state"),
];

#[tokio::test]
async fn of_a_table_that_is_not_theirs_whole_they_write_just_the_columns_listed() -> Result<()> {
    let db = TestDb::create().await?;
    let found = "SELECT table_name::text, grantee::text, privilege_type::text,
                        string_agg(column_name, ' ' ORDER BY column_name COLLATE \"C\")
                 FROM information_schema.column_privileges
                 WHERE table_schema = 'public' AND privilege_type IN ('INSERT', 'UPDATE') AND grantee LIKE 'satchel\\_%'
                   AND NOT has_table_privilege(grantee, format('public.%I', table_name), privilege_type)
                 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    let found = db.admin().await?.query_typed(found, &[]).await?;
    let found: Vec<(&str, &str, &str, &str)> =
        found.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    assert_eq!(found, WRITABLE);
    Ok(())
}

#[tokio::test]
async fn no_role_can_rise_above_the_policies() -> Result<()> {
    let db = TestDb::create().await?;
    let admin = db.admin().await?;
    let mighty = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'satchel\\_%' AND
                  (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR NOT rolcanlogin)";
    assert_eq!(crate::number(&admin, mighty).await?, 0);
    let members = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
                   WHERE r.rolname LIKE 'satchel\\_%'";
    assert_eq!(crate::number(&admin, members).await?, 0);
    let wanders = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                   AND NOT COALESCE(array_to_string(proconfig, ' ') LIKE '%search_path=%', false)";
    assert_eq!(crate::number(&admin, wanders).await?, 0, "a search_path for each");
    let makes_tables =
        "SELECT count(*) FROM unnest(ARRAY['satchel_auth', 'satchel_api', 'satchel_webhooks', 'satchel_jobs']) AS role
                        WHERE has_schema_privilege(role, 'public', 'CREATE')";
    assert_eq!(crate::number(&admin, makes_tables).await?, 0);
    Ok(())
}

/// Functions that do what only the owner may, and the one role that may call them.
#[tokio::test]
async fn two_functions_lend_the_owners_rights_and_to_the_schedules_alone() -> Result<()> {
    let db = TestDb::create().await?;
    let found = "SELECT proname::text, pg_get_userbyid(proowner)::text, proconfig[1],
                        (SELECT string_agg(role, ' ') FROM unnest(ARRAY['satchel_auth', 'satchel_api',
                             'satchel_webhooks', 'satchel_jobs', 'public']) AS role
                         WHERE has_function_privilege(role, oid, 'EXECUTE'))
                 FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef ORDER BY proname";
    let found = db.admin().await?.query_typed(found, &[]).await?;
    let found: Vec<[&str; 4]> = found.iter().map(|row| [0, 1, 2, 3].map(|column| row.get(column))).collect();
    let lent = |name| [name, "satchel_owner", "search_path=pg_catalog, pg_temp", "satchel_jobs"];
    assert_eq!(found, [lent("count_waiting_activity_logs"), lent("keep_activity_logs")]);
    Ok(())
}

#[tokio::test]
async fn what_a_table_is_parted_into_is_granted_to_nobody() -> Result<()> {
    let db = TestDb::create().await?;
    let admin = db.admin().await?;
    let parts = "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r'";
    assert!(crate::number(&admin, parts).await? >= 5, "the months and what has none");
    let granted = "SELECT count(*) FROM pg_class
                   WHERE relispartition AND (relacl IS NOT NULL OR pg_get_userbyid(relowner) <> 'satchel_owner')";
    assert_eq!(crate::number(&admin, granted).await?, 0);
    Ok(())
}

async fn refusal(client: &Client, sql: &str) -> Option<SqlState> {
    client.batch_execute(sql).await.err().and_then(|error| error.code().cloned())
}

#[tokio::test]
async fn nobody_changes_or_removes_what_is_in_the_ledger() -> Result<()> {
    let db = TestDb::create().await?;
    let admin = db.admin().await?;
    admin
        .batch_execute(
            "INSERT INTO ledger (id, provider, account, source_object, kind, object_id, amount_minor, currency,
                 occurred_at, created_at)
             VALUES (gen_random_uuid(), 'stripe', '', 'pi_1', 'payment', 'pi_1', 2500, 'usd', now(), now())",
        )
        .await?;
    for role in Role::ALL {
        let client = db.connect(role).await?;
        // The owner sees no row of it. It could empty the table whole, as it could drop it.
        let refused = (role != Role::Owner).then_some(SqlState::INSUFFICIENT_PRIVILEGE);
        for sql in ["UPDATE ledger SET amount_minor = 1", "DELETE FROM ledger"] {
            assert_eq!(refusal(&client, sql).await, refused, "{}: {sql}", role.name());
        }
        if role != Role::Owner {
            assert_eq!(refusal(&client, "TRUNCATE ledger").await, refused, "{}", role.name());
        }
    }
    assert_eq!(crate::number(&admin, "SELECT sum(amount_minor)::bigint FROM ledger").await?, 2500);
    Ok(())
}

#[tokio::test]
async fn a_movement_is_written_once() -> Result<()> {
    let db = TestDb::create().await?;
    let jobs = db.connect(Role::Jobs).await?;
    let movement = |source: &str, kind: &str| {
        format!(
            "INSERT INTO ledger (id, provider, account, source_object, kind, object_id, amount_minor, currency,
                 occurred_at, created_at)
             VALUES (gen_random_uuid(), 'stripe', '', '{source}', '{kind}', 'x', 1, 'usd', now(), now())"
        )
    };
    assert_eq!(refusal(&jobs, &movement("re_1", "refund")).await, None);
    assert_eq!(refusal(&jobs, &movement("re_1", "refund_reversed")).await, None);
    assert_eq!(refusal(&jobs, &movement("re_1", "refund")).await, Some(SqlState::UNIQUE_VIOLATION));
    assert_eq!(refusal(&jobs, &movement("re_1", "gift")).await, Some(SqlState::CHECK_VIOLATION));
    Ok(())
}

#[tokio::test]
async fn what_takes_in_webhooks_reads_neither_wallets_nor_sessions_nor_nodes() -> Result<()> {
    let db = TestDb::create().await?;
    let webhooks = db.connect(Role::Webhooks).await?;
    for sql in [
        "SELECT password_sealed FROM lightning_setup_secrets",
        "SELECT root_key_sealed FROM lightning_setup_secrets",
        "SELECT seed_sealed FROM lightning_setup_secrets",
        "SELECT macaroon_sealed FROM lightning_setup_secrets",
        "SELECT node_config_sealed FROM lightning_addresses",
        "SELECT macaroon_sealed FROM nodes",
        "SELECT refresh_key_sealed FROM sessions",
        "SELECT 1 FROM users",
        "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at)
         VALUES (gen_random_uuid(), gen_random_uuid(), 'stripe', '', 'usd', 1, now(), now())",
        "UPDATE payments SET user_id = gen_random_uuid()",
        "UPDATE payments SET amount_minor = 1",
        "DELETE FROM webhook_events",
        "UPDATE webhook_events SET body_sealed = ''",
        "UPDATE webhook_events SET event_id = 'another'",
        "DELETE FROM outbox",
        "SELECT payload FROM outbox",
        "UPDATE outbox SET published_at = now()",
    ] {
        assert_eq!(refusal(&webhooks, sql).await, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    let allowed =
        "SELECT btcpay_config_sealed FROM lightning_addresses; SELECT state FROM payments FOR UPDATE";
    assert_eq!(refusal(&webhooks, allowed).await, None);
    Ok(())
}
