//! Which role may do what to which table. Change this list with the migration that changes it.

use shared::db::roles::Role;
use testing::{Result, TestDb};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Table, whether its rows are guarded, and what the four working roles may: Select, Insert, Update, Delete.
/// The owner may do anything to every table, and sees no row of a guarded one.
const TABLES: [(&str, bool, [&str; 4]); 32] = [
    //                           auth   api     hooks  jobs
    ("audit_chains", true, ["SIU", "SIU", "SIU", "SIU"]),
    ("audit_heads", true, ["", "", "", "SI"]),
    ("audit_logs", true, ["SI", "SI", "SI", "SI"]),
    ("challenges", true, ["SIU", "SU", "", "SD"]),
    ("connected_accounts", true, ["", "", "SIU", "SIU"]),
    ("idempotency_keys", true, ["", "SIUD", "", "SD"]),
    ("identities", true, ["SIU", "SIU", "", ""]),
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
    ("nodes", true, ["", "SIU", "", "S"]),
    ("orphan_reports", false, ["", "", "", "SIU"]),
    ("outbox", true, ["", "", "I", "SIUD"]),
    ("payment_objects", true, ["", "", "SIU", "SIU"]),
    // Whoever begins payments cannot say what became of them, and who says that begins none: the columns are below.
    ("payments", true, ["", "S", "S", "SIU"]),
    ("payouts", true, ["", "", "SIU", "SIU"]),
    ("provider_breakers", false, ["S", "SIU", "SIU", "SIUD"]),
    ("rate_limits", false, ["SIU", "SIU", "", "SD"]),
    ("reconcile_cursors", true, ["", "", "", "SIU"]),
    ("reseal_progress", true, ["", "", "", "SIU"]),
    ("schema_migrations", false, ["", "", "", ""]),
    ("sessions", true, ["SIU", "SU", "", ""]),
    ("signing_keys", false, ["SI", "S", "", "SIU"]),
    ("subscriptions", true, ["", "S", "SIU", "SIU"]),
    ("users", true, ["SIU", "S", "", ""]),
    ("webhook_events", true, ["", "", "SI", "SIUD"]),
];

/// Every policy there is: table, role, and whose rows it opens.
const POLICIES: [(&str, &str, &str); 55] = [
    ("audit_chains", "satchel_api", "own"),
    ("audit_chains", "satchel_auth", "all"),
    ("audit_chains", "satchel_jobs", "all"),
    ("audit_chains", "satchel_webhooks", "all"),
    ("audit_heads", "satchel_jobs", "all"),
    ("audit_logs", "satchel_api", "own"),
    ("audit_logs", "satchel_auth", "all"),
    ("audit_logs", "satchel_jobs", "all"),
    ("audit_logs", "satchel_webhooks", "all"),
    ("challenges", "satchel_api", "own"),
    ("challenges", "satchel_auth", "all"),
    ("challenges", "satchel_jobs", "all"),
    ("connected_accounts", "satchel_jobs", "all"),
    ("connected_accounts", "satchel_webhooks", "all"),
    ("idempotency_keys", "satchel_api", "own"),
    ("idempotency_keys", "satchel_jobs", "all"),
    ("identities", "satchel_api", "own"),
    ("identities", "satchel_auth", "all"),
    ("imported_lightning_addresses", "satchel_jobs", "all"),
    ("invoices", "satchel_api", "own"),
    ("invoices", "satchel_jobs", "all"),
    ("ledger", "satchel_jobs", "all"),
    ("ledger", "satchel_webhooks", "all"),
    ("lightning_addresses", "satchel_api", "own"),
    ("lightning_addresses", "satchel_jobs", "all"),
    ("lightning_addresses", "satchel_webhooks", "all"),
    ("lightning_setup_log", "satchel_api", "own"),
    ("lightning_setup_log", "satchel_auth", "all"),
    ("lightning_setup_log", "satchel_jobs", "all"),
    ("lightning_setup_secrets", "satchel_api", "own"),
    ("lightning_setup_secrets", "satchel_jobs", "all"),
    ("lightning_setup_steps", "satchel_api", "own"),
    ("lightning_setup_steps", "satchel_jobs", "all"),
    ("lightning_setups", "satchel_api", "own"),
    ("lightning_setups", "satchel_auth", "all"),
    ("lightning_setups", "satchel_jobs", "all"),
    ("nodes", "satchel_api", "own"),
    ("nodes", "satchel_jobs", "all"),
    ("outbox", "satchel_jobs", "all"),
    ("outbox", "satchel_webhooks", "all"),
    ("payment_objects", "satchel_jobs", "all"),
    ("payment_objects", "satchel_webhooks", "all"),
    ("payments", "satchel_api", "own"),
    ("payments", "satchel_jobs", "all"),
    ("payments", "satchel_webhooks", "all"),
    ("payouts", "satchel_jobs", "all"),
    ("payouts", "satchel_webhooks", "all"),
    ("reconcile_cursors", "satchel_jobs", "all"),
    ("reseal_progress", "satchel_jobs", "all"),
    ("sessions", "satchel_api", "own"),
    ("sessions", "satchel_auth", "all"),
    ("sessions", "satchel_jobs", "all"),
    ("subscriptions", "satchel_api", "own"),
    ("subscriptions", "satchel_jobs", "all"),
    ("subscriptions", "satchel_webhooks", "all"),
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
    ("sessions", "satchel_jobs", "id refresh_key_sealed"),
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
const WRITABLE: [(&str, &str, &str, &str); 7] = [
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
    ("sessions", "satchel_jobs", "UPDATE", "refresh_key_sealed"),
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
async fn every_policy_opens_all_rows_to_a_named_role_or_own_rows_to_the_api() -> Result<()> {
    let db = TestDb::create().await?;
    let admin = db.admin().await?;
    let found = admin
        .query_typed(
            "SELECT tablename::text, roles::text[], permissive, qual, COALESCE(with_check, qual) FROM pg_policies
             ORDER BY tablename, roles::text",
            &[],
        )
        .await?;
    let mut policies = Vec::new();
    for row in &found {
        let (table, roles): (String, Vec<String>) = (row.get(0), row.get(1));
        let (permissive, using, check): (&str, &str, &str) = (row.get(2), row.get(3), row.get(4));
        assert_eq!(
            (permissive, using),
            ("PERMISSIVE", check),
            "{table} reads by one rule and writes by another"
        );
        let rows = match using {
            "true" => "all",
            own if own.contains("app_user_id()") => "own",
            other => other,
        };
        let [role] = roles.as_slice() else { anyhow::bail!("{table}: one role a policy, not {roles:?}") };
        policies.push((table, role.clone(), rows.to_owned()));
    }
    let mut expected: Vec<_> = POLICIES
        .iter()
        .map(|(table, role, rows)| ((*table).to_owned(), (*role).to_owned(), (*rows).to_owned()))
        .collect();
    for (role, rows) in [("satchel_api", "own"), ("satchel_auth", "all")] {
        expected.push(("users".to_owned(), role.to_owned(), rows.to_owned()));
    }
    for role in ["satchel_jobs", "satchel_webhooks"] {
        expected.push(("webhook_events".to_owned(), role.to_owned(), "all".to_owned()));
    }
    assert_eq!(policies, expected);
    Ok(())
}

#[tokio::test]
async fn no_policy_reads_a_role_from_a_setting() -> Result<()> {
    let db = TestDb::create().await?;
    let admin = db.admin().await?;
    let settings = "SELECT count(*) FROM pg_policies
                    WHERE concat(qual, with_check) ~* 'setting|current_user|session_user|current_role'";
    assert_eq!(crate::number(&admin, settings).await?, 0);
    // The one function they call reads the one setting, and it holds an account.
    let row = admin.query_typed_one("SELECT pg_get_functiondef('app_user_id'::regproc)", &[]).await?;
    let body: &str = row.get(0);
    assert_eq!(body.matches("setting").count(), 1, "{body}");
    assert!(body.contains("'app.user_id'"), "{body}");
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
    let lends_rights = "SELECT count(*) FROM pg_proc
                        WHERE pronamespace = 'public'::regnamespace AND (prosecdef OR proconfig IS NULL)";
    assert_eq!(
        crate::number(&admin, lends_rights).await?,
        0,
        "no SECURITY DEFINER, and a search_path for each"
    );
    let makes_tables =
        "SELECT count(*) FROM unnest(ARRAY['satchel_auth', 'satchel_api', 'satchel_webhooks', 'satchel_jobs']) AS role
                        WHERE has_schema_privilege(role, 'public', 'CREATE')";
    assert_eq!(crate::number(&admin, makes_tables).await?, 0);
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
