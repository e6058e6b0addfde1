//! What an administrator sees of other accounts, and what nobody does.

use shared::db::roles::Role;
use shared::random::Random;
use testing::{Result, TestDb};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::{act_for, create_account};

/// Guarded tables the api may read, whether administrators see everybody's rows in them, and one row of an account.
const TABLES: [(&str, bool, &str); 10] = [
    ("users WHERE id", true, ""),
    ("identities WHERE user_id", true, ""),
    (
        "sessions WHERE user_id",
        true,
        "INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at, created_at,
             last_seen_at, idle_expires_at, absolute_expires_at)
         VALUES (gen_random_uuid(), '{}', 'did', 'x', '', now(), now(), now(), now(), now())",
    ),
    ("wallets WHERE user_id", true, "INSERT INTO wallets VALUES ('{}', 'wallet of {}', NULL, now())"),
    (
        "notification_preferences WHERE user_id",
        true,
        "INSERT INTO notification_preferences VALUES ('{}', true, true, true, true, true, true, 1, now())",
    ),
    (
        "activity_logs WHERE user_id",
        true,
        "INSERT INTO activity_logs VALUES (gen_random_uuid(), '{}', NULL, 'x', jsonb_build_object(), NULL, now()),
             (gen_random_uuid(), '{}', NULL, 'x', jsonb_build_object(), NULL, 'epoch')",
    ),
    ("admins WHERE user_id", false, ""),
    (
        "nodes WHERE user_id",
        false,
        "INSERT INTO nodes (user_id, did, node_id, pubkey, created_at, updated_at)
         VALUES ('{}', 'x', '{}', '02' || encode(sha256('{}'), 'hex'), now(), now())",
    ),
    (
        "payments WHERE user_id",
        false,
        "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at)
         VALUES (gen_random_uuid(), '{}', 'stripe', '', 'usd', 1, now(), now())",
    ),
    (
        "idempotency_keys WHERE user_id",
        false,
        "INSERT INTO idempotency_keys (user_id, route, key, fingerprint, created_at, expires_at)
         VALUES ('{}', 'x', 'x', '', now(), now())",
    ),
];

struct Accounts {
    db: TestDb,
    admin: Client,
    /// An administrator, and two who are none.
    administrator: Uuid,
    own: Uuid,
    other: Uuid,
}

async fn accounts() -> Result<Accounts> {
    let db = TestDb::create().await?;
    let (auth, admin, random) = (db.connect(Role::Auth).await?, db.admin().await?, Random::system());
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = create_account(&auth, &random).await?;
        for (_, _, sql) in TABLES.iter().filter(|(.., sql)| !sql.is_empty()) {
            admin.batch_execute(&sql.replace("{}", &id.to_string())).await?;
        }
        ids.push(id);
    }
    admin.batch_execute(&format!("INSERT INTO admins VALUES ('{}', now())", ids[0])).await?;
    Ok(Accounts { db, admin, administrator: ids[0], own: ids[1], other: ids[2] })
}

#[tokio::test]
async fn an_administrator_sees_of_others_what_the_policies_say_and_nobody_else_sees_anything() -> Result<()> {
    let accounts = accounts().await?;
    let mut api = accounts.db.connect(Role::Api).await?;
    for (table, is_open, _) in TABLES {
        let rows = format!("SELECT count(*) FROM {table} = '{}'", accounts.other);
        let there = crate::number(&accounts.admin, &rows).await?;
        assert!(there > 0 || table.starts_with("admins"), "put a row into {table}");
        for (viewer, sees) in [
            (None, false),
            (Some(accounts.own), false),
            (Some(accounts.other), true),
            (Some(accounts.administrator), is_open),
        ] {
            let tx = api.transaction().await?;
            if let Some(viewer) = viewer {
                act_for(&tx, viewer).await?;
            }
            let seen: i64 = tx.query_typed_one(&rows, &[]).await?.get(0);
            assert_eq!(seen, if sees { there } else { 0 }, "{table} {viewer:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn who_is_no_administrator_any_more_sees_no_more_than_anybody() -> Result<()> {
    let accounts = accounts().await?;
    let mut api = accounts.db.connect(Role::Api).await?;
    let count = "SELECT count(*) FROM users";
    for (sql, expected) in [("SELECT 1", 3), ("DELETE FROM admins", 1)] {
        accounts.admin.batch_execute(sql).await?;
        let tx = api.transaction().await?;
        act_for(&tx, accounts.administrator).await?;
        assert_eq!(tx.query_typed_one(count, &[]).await?.get::<_, i64>(0), expected);
    }
    Ok(())
}

#[tokio::test]
async fn nobody_makes_themselves_or_another_an_administrator_but_the_operators_tool() -> Result<()> {
    let accounts = accounts().await?;
    let grant = format!("INSERT INTO admins VALUES ('{}', now())", accounts.own);
    for role in [Role::Auth, Role::Api, Role::Webhooks] {
        for account in [accounts.own, accounts.administrator] {
            let mut client = accounts.db.connect(role).await?;
            let tx = client.transaction().await?;
            tx.batch_execute(&format!("SELECT set_config('app.user_id', '{account}', true)")).await?;
            let refused = tx.batch_execute(&grant).await.err().and_then(|error| error.code().cloned());
            assert_eq!(refused, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{}", role.name());
        }
    }
    accounts.db.connect(Role::Jobs).await?.batch_execute(&grant).await?;
    Ok(())
}

#[tokio::test]
async fn an_administrator_writes_nothing_into_what_another_did() -> Result<()> {
    let accounts = accounts().await?;
    let mut api = accounts.db.connect(Role::Api).await?;
    let insert = format!(
        "INSERT INTO activity_logs VALUES (gen_random_uuid(), '{}', NULL, 'x', jsonb_build_object(), NULL, now())",
        accounts.other
    );
    for sql in [insert.as_str(), "UPDATE activity_logs SET action = 'y'", "DELETE FROM activity_logs"] {
        let tx = api.transaction().await?;
        act_for(&tx, accounts.administrator).await?;
        let refused = tx.batch_execute(sql).await.err().and_then(|error| error.code().cloned());
        assert_eq!(refused, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    Ok(())
}

/// What sign-in alone handles, the api does not even read; who takes in webhooks reads none of it.
#[tokio::test]
async fn what_people_sign_in_with_is_read_by_sign_in_alone() -> Result<()> {
    let accounts = accounts().await?;
    for table in ["passwords", "one_time_tokens", "oauth_states", "mails", "private_beta_users"] {
        for role in [Role::Api, Role::Webhooks] {
            let mut client = accounts.db.connect(role).await?;
            let tx = client.transaction().await?;
            let enter = format!("SELECT set_config('app.user_id', '{}', true)", accounts.administrator);
            tx.batch_execute(&enter).await?;
            let read = tx.batch_execute(&format!("SELECT FROM {table}")).await;
            let refused = read.err().and_then(|error| error.code().cloned());
            assert_eq!(refused, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{table} {}", role.name());
        }
    }
    Ok(())
}
