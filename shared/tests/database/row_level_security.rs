//! Whose rows a transaction sees, touches and makes.

use std::collections::BTreeSet;

use shared::db::roles::Role;
use shared::db::{Transaction, Type};
use shared::random::Random;
use testing::{Result, TestDb};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::{NOW, act_for, create_account};

const ACCOUNTS: usize = 16;

/// Every guarded table the api may read, the account of a row, what tells its rows apart, and a column to write.
const TABLES: [(&str, &str, &str, &str); 20] = [
    ("users", "id", "id::text", ""),
    ("identities", "user_id", "kind || subject", "retired_at = now()"),
    ("sessions", "user_id", "id::text", "revoked_at = now()"),
    ("challenges", "user_id", "id::text", "status = 'confirmed'"),
    ("nodes", "user_id", "pubkey", "updated_at = now()"),
    ("idempotency_keys", "user_id", "key", "status = 200"),
    ("audit_chains", "chain::uuid", "chain", "count = count"),
    ("audit_logs", "chain::uuid", "chain || seq", ""),
    ("lightning_setups", "user_id", "id::text", "updated_at = now()"),
    ("lightning_setup_steps", "user_id", "setup_id || name", "attempts = attempts + 1"),
    ("lightning_setup_secrets", "user_id", "setup_id::text", "root_key_sealed = ''"),
    ("lightning_setup_log", "user_id", "id::text", ""),
    ("lightning_addresses", "user_id", "address", ""),
    ("invoices", "user_id", "id::text", "updated_at = now()"),
    ("payments", "user_id", "id::text", ""),
    ("subscriptions", "user_id", "subscription_id", ""),
    ("admins", "user_id", "user_id::text", ""),
    ("wallets", "user_id", "address", ""),
    ("notification_preferences", "user_id", "user_id::text", "version = version + 1"),
    ("activity_logs", "user_id", "id::text", ""),
];

/// Accounts with some rows each in every table, as many as chance has it.
async fn populate(db: &TestDb) -> Result<Vec<Uuid>> {
    let (auth, admin, random) = (db.connect(Role::Auth).await?, db.admin().await?, Random::system());
    let mut accounts = Vec::new();
    for _ in 0..ACCOUNTS {
        let account = create_account(&auth, &random).await?;
        let rows: i32 = random.bytes::<1>().map(|byte| i32::from(byte % 4)).into_iter().sum();
        for sql in [
            "INSERT INTO identities SELECT $1, 'lnurl', $1::text || n, now() FROM generate_series(1, $2) n",
            "INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
                 created_at, last_seen_at, idle_expires_at, absolute_expires_at)
             SELECT gen_random_uuid(), $1, 'did', 'x', '', now(), now(), now(), now(), now() FROM generate_series(1, $2)",
            "INSERT INTO challenges (id, did, challenge_type, title, user_id, new_pubkey, issued_at, expires_at)
             SELECT gen_random_uuid(), 'x', 'node_link', 'x', $1, 'x', now(), now() FROM generate_series(1, $2)",
            "INSERT INTO nodes (user_id, did, node_id, pubkey, created_at, updated_at)
             SELECT $1, 'x', 'x', '02' || encode(sha256($1::text::bytea), 'hex'), now(), now()
             FROM generate_series(1, least($2, 1))",
            "INSERT INTO idempotency_keys (user_id, route, key, fingerprint, created_at, expires_at)
             SELECT $1, 'x', $1::text || n, '', now(), now() FROM generate_series(1, $2) n",
            "INSERT INTO audit_chains SELECT $1::text, $2, '' WHERE $2 > 0",
            "INSERT INTO audit_logs SELECT $1::text, n, gen_random_uuid(), $1, 'x', 'x', 'x', '{}', NULL, 'x', now(), ''
             FROM generate_series(1, $2) n",
            "INSERT INTO lightning_setups (id, user_id, username, address, node_source, state, step, due_at, created_at,
                 updated_at)
             SELECT gen_random_uuid(), $1, 'x', 'x@example.com', 'voltage', 'undone', 'activate', now(), now(), now()
             FROM generate_series(1, $2)",
            "INSERT INTO lightning_setup_steps (setup_id, user_id, name, state, attempts, begun_at)
             SELECT id, user_id, 'step ' || n, 'undone', 1, now() FROM lightning_setups, generate_series(1, $2) n
             WHERE user_id = $1",
            "INSERT INTO lightning_setup_secrets (setup_id, user_id)
             SELECT id, user_id FROM lightning_setups WHERE user_id = $1 LIMIT greatest($2 - 1, 0)",
            "INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
             SELECT id, user_id, 'x', 'begun', 0, now() FROM lightning_setups, generate_series(1, $2)
             WHERE user_id = $1",
            "INSERT INTO lightning_addresses
             SELECT user_id, id, 'x', id || '@example.com', id::text, id::text, NULL, '', '', now(), now()
             FROM lightning_setups WHERE user_id = $1 LIMIT least($2, 1)",
            "INSERT INTO invoices (id, user_id, btcpay_store_id, amount_msat, memo, expiry_seconds, state, leased_until,
                 lease_token, created_at, updated_at)
             SELECT gen_random_uuid(), $1, 'x', 1000, 'x', 60, 'creating', now(), 0, now(), now()
             FROM generate_series(1, $2)",
            "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at)
             SELECT gen_random_uuid(), $1, 'stripe', '', 'usd', 2500, now(), now() FROM generate_series(1, $2)",
            "INSERT INTO subscriptions (provider, account, subscription_id, payment_id, user_id, status, finality, seen_at,
                 rank, created_at, updated_at)
             SELECT 'stripe', '', 'sub_' || id, id, user_id, 'active', 0, now(), 2, now(), now()
             FROM payments WHERE user_id = $1 LIMIT greatest($2 - 1, 0)",
            "INSERT INTO wallets SELECT $1, $1::text || n, NULL, now() FROM generate_series(1, $2) n",
            "INSERT INTO notification_preferences
             SELECT $1, true, true, true, true, true, true, 1, now() FROM generate_series(1, least($2, 1))",
            // In this month, and in none.
            "INSERT INTO activity_logs (id, user_id, action, details, created_at)
             SELECT gen_random_uuid(), $1, 'x', '{}', now() + (n - 1) * interval '1 year' FROM generate_series(1, $2) n",
        ] {
            admin.execute_typed(sql, &[(&account, Type::UUID), (&rows, Type::INT4)]).await?;
        }
        accounts.push(account);
    }
    Ok(accounts)
}

async fn rows(tx: &Transaction<'_>, sql: &str) -> Result<BTreeSet<String>> {
    Ok(tx.query_typed(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

async fn owned(admin: &Client, account: Uuid) -> Result<Vec<BTreeSet<String>>> {
    let mut owned = Vec::new();
    for (table, owner, key, _) in TABLES {
        let sql = format!("SELECT {key} FROM {table} WHERE {owner} = $1");
        let rows = admin.query_typed(&sql, &[(&account, Type::UUID)]).await?;
        owned.push(rows.iter().map(|row| row.get(0)).collect());
    }
    Ok(owned)
}

#[tokio::test]
async fn an_account_sees_its_own_rows_and_no_others() -> Result<()> {
    let db = TestDb::create().await?;
    let accounts = populate(&db).await?;
    let (admin, mut api) = (db.admin().await?, db.connect(Role::Api).await?);
    let mut pairs = 0;
    for viewer in &accounts {
        let own = owned(&admin, *viewer).await?;
        for other in &accounts {
            let tx = api.transaction().await?;
            act_for(&tx, *viewer).await?;
            for ((table, owner, key, _), own) in TABLES.iter().zip(&own) {
                let of_other =
                    rows(&tx, &format!("SELECT {key} FROM {table} WHERE {owner} = '{other}'")).await?;
                let expected = if viewer == other { own.clone() } else { BTreeSet::new() };
                assert_eq!(of_other, expected, "{table}");
                pairs += 1;
            }
        }
        let tx = api.transaction().await?;
        act_for(&tx, *viewer).await?;
        for ((table, _, key, _), own) in TABLES.iter().zip(&own) {
            assert_eq!(&rows(&tx, &format!("SELECT {key} FROM {table}")).await?, own, "{table}");
        }
    }
    assert_eq!(pairs, ACCOUNTS * ACCOUNTS * TABLES.len());
    Ok(())
}

#[tokio::test]
async fn an_account_changes_and_deletes_its_own_rows_and_no_others() -> Result<()> {
    let db = TestDb::create().await?;
    let accounts = populate(&db).await?;
    let (admin, mut api) = (db.admin().await?, db.connect(Role::Api).await?);
    for viewer in &accounts {
        let own = owned(&admin, *viewer).await?;
        let tx = api.transaction().await?;
        act_for(&tx, *viewer).await?;
        for ((table, _, _, set), own) in TABLES.iter().zip(&own).filter(|((.., set), _)| !set.is_empty()) {
            let changed = tx.execute_typed(&format!("UPDATE {table} SET {set}"), &[]).await?;
            assert_eq!(changed, own.len() as u64, "{table}");
        }
        let deleted = tx.execute_typed("DELETE FROM idempotency_keys", &[]).await?;
        assert_eq!(deleted, own[5].len() as u64);
        tx.rollback().await?;
    }
    Ok(())
}

#[tokio::test]
async fn without_an_account_there_is_nothing_to_see() -> Result<()> {
    let db = TestDb::create().await?;
    populate(&db).await?;
    let mut api = db.connect(Role::Api).await?;
    for setting in ["", "SELECT set_config('app.user_id', '', true)", "SET LOCAL app.user_id = DEFAULT"] {
        let tx = api.transaction().await?;
        tx.batch_execute(setting).await?;
        for (table, _, key, _) in TABLES {
            assert!(rows(&tx, &format!("SELECT {key} FROM {table}")).await?.is_empty(), "{table} {setting}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_account_is_forgotten_with_its_transaction() -> Result<()> {
    let db = TestDb::create().await?;
    let accounts = populate(&db).await?;
    let mut api = db.connect(Role::Api).await?;
    for end in ["COMMIT", "ROLLBACK"] {
        let tx = api.transaction().await?;
        act_for(&tx, accounts[0]).await?;
        assert_eq!(rows(&tx, "SELECT id::text FROM users").await?.len(), 1);
        tx.batch_execute(end).await?;
        drop(tx);
        let tx = api.transaction().await?;
        assert_eq!(rows(&tx, "SELECT current_setting('app.user_id', true)").await?, [String::new()].into());
        assert!(rows(&tx, "SELECT id::text FROM users").await?.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_row_in_anothers_name_is_refused() -> Result<()> {
    let db = TestDb::create().await?;
    let random = Random::system();
    let auth = db.connect(Role::Auth).await?;
    let (own, other) = (create_account(&auth, &random).await?, create_account(&auth, &random).await?);
    let mut api = db.connect(Role::Api).await?;
    let inserts = [
        "INSERT INTO identities VALUES ($1, 'email', 'x', now())",
        "INSERT INTO nodes (user_id, did, node_id, pubkey, created_at, updated_at)
         VALUES ($1, 'x', 'x', '02' || encode(sha256('x'), 'hex'), now(), now())",
        "INSERT INTO idempotency_keys (user_id, route, key, fingerprint, created_at, expires_at)
         VALUES ($1, 'x', 'x', '', now(), now())",
        "INSERT INTO lightning_setups (id, user_id, username, address, node_source, state, step, due_at, created_at,
             updated_at)
         VALUES (gen_random_uuid(), $1, 'x', $1::text || '@x', 'voltage', 'running', 'create_node', now(), now(), now())",
        "INSERT INTO lightning_setup_steps (setup_id, user_id, name, state, attempts, begun_at)
         SELECT id, $1, 'x', 'running', 1, now() FROM lightning_setups",
        "INSERT INTO lightning_setup_secrets (setup_id, user_id) SELECT id, $1 FROM lightning_setups",
        "INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
         SELECT id, $1, 'x', 'begun', 0, now() FROM lightning_setups",
        "INSERT INTO lightning_addresses
         SELECT $1, id, 'x', 'y@x', 'x', 'x', NULL, '', '', now(), now() FROM lightning_setups",
        "INSERT INTO invoices (id, user_id, btcpay_store_id, amount_msat, memo, expiry_seconds, state, leased_until,
             lease_token, created_at, updated_at)
         VALUES (gen_random_uuid(), $1, 'x', 1000, 'x', 60, 'creating', now(), 0, now(), now())",
        "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at)
         VALUES (gen_random_uuid(), $1, 'btcpay', 'x', 'btc', 1000, now(), now())",
        "INSERT INTO wallets VALUES ($1, 'x', NULL, now())",
        "INSERT INTO notification_preferences VALUES ($1, true, true, true, true, true, true, 1, now())",
        "INSERT INTO activity_logs VALUES (gen_random_uuid(), $1, NULL, 'x', '{}', NULL, now())",
        "INSERT INTO activity_logs VALUES (gen_random_uuid(), $1, NULL, 'x', '{}', NULL, now() + interval '9 years')",
        "INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at, created_at,
             last_seen_at, idle_expires_at, absolute_expires_at)
         VALUES (gen_random_uuid(), $1, 'did', 'x', '', now(), now(), now(), now(), now())",
        "INSERT INTO audit_chains VALUES ($1::text, 0, '')",
        "INSERT INTO audit_logs VALUES ($1::text, 1, gen_random_uuid(), $1, 'x', 'x', 'x', '{}', NULL, 'x', now(), '')",
    ];
    // The last two are one chain: the log needs its chain to be there.
    db.admin().await?.batch_execute(&format!("INSERT INTO audit_chains VALUES ('{other}', 0, '')")).await?;
    // The account's own, to hang rows on: only an undone one may be beside the one above.
    let setup = "INSERT INTO lightning_setups (id, user_id, username, address, node_source, state, step, due_at,
                     created_at, updated_at)
                 VALUES (gen_random_uuid(), $1, 'x', 'x@x', 'voltage', 'undone', 'activate', now(), now(), now())";
    db.admin().await?.execute_typed(setup, &[(&own, Type::UUID)]).await?;
    for sql in inserts {
        for (account, allowed) in [(other, false), (own, true)] {
            let tx = api.transaction().await?;
            act_for(&tx, own).await?;
            if sql.contains("audit_logs") && allowed {
                tx.batch_execute(&format!("INSERT INTO audit_chains VALUES ('{own}', 0, '')")).await?;
            }
            let outcome = tx.execute_typed(sql, &[(&account, Type::UUID)]).await;
            let code = outcome.err().and_then(|error| error.code().cloned());
            let expected = if allowed { None } else { Some(SqlState::INSUFFICIENT_PRIVILEGE) };
            assert_eq!(code, expected, "{sql}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_account_begins_a_payment_and_cannot_say_what_became_of_it() -> Result<()> {
    let db = TestDb::create().await?;
    let own = create_account(&db.connect(Role::Auth).await?, &Random::system()).await?;
    let mut api = db.connect(Role::Api).await?;
    let insert = |more: &str, value: &str| {
        format!(
            "INSERT INTO payments (id, user_id, provider, account, currency, amount_minor, created_at, updated_at{more})
             VALUES (gen_random_uuid(), '{own}', 'stripe', '', 'usd', 2500, now(), now(){value}) RETURNING state"
        )
    };
    let tx = api.transaction().await?;
    act_for(&tx, own).await?;
    let state: String = tx.query_typed_one(&insert("", ""), &[]).await?.get(0);
    assert_eq!(state, "created");
    tx.commit().await?;
    for sql in [
        insert(", state", ", 'paid'"),
        insert(", state", ", 'created'"),
        insert(", received_minor", ", 2500"),
        insert(", entitled", ", true"),
        insert(", manually_marked", ", true"),
        insert(", version", ", 7"),
        "UPDATE payments SET state = 'paid'".to_owned(),
        "UPDATE payments SET amount_minor = 1".to_owned(),
        "UPDATE payments SET entitled = true".to_owned(),
        "DELETE FROM payments".to_owned(),
        "UPDATE subscriptions SET entitled = true".to_owned(),
        "INSERT INTO ledger SELECT FROM ledger".to_owned(),
        "SELECT 1 FROM payment_objects".to_owned(),
        "SELECT 1 FROM webhook_events".to_owned(),
    ] {
        let tx = api.transaction().await?;
        act_for(&tx, own).await?;
        let refused = tx.batch_execute(&sql).await.err().and_then(|error| error.code().cloned());
        assert_eq!(refused, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    assert_eq!(db.count("SELECT count(*) FROM payments WHERE state = 'created'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_row_cannot_be_given_to_another() -> Result<()> {
    let db = TestDb::create().await?;
    let accounts = populate(&db).await?;
    let mut api = db.connect(Role::Api).await?;
    // By chance some have no rows.
    let has_rows = "SELECT user_id FROM lightning_setups LIMIT 1";
    let own: Uuid = db.admin().await?.query_typed_one(has_rows, &[]).await?.get(0);
    let other = accounts.into_iter().find(|account| *account != own);
    for table in ["identities", "sessions", "lightning_setups", "lightning_setup_steps", "invoices"] {
        let tx = api.transaction().await?;
        act_for(&tx, own).await?;
        let given =
            tx.execute_typed(&format!("UPDATE {table} SET user_id = $1"), &[(&other, Type::UUID)]).await;
        let code = given.err().and_then(|error| error.code().cloned());
        assert_eq!(code, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn only_a_standing_session_of_the_account_is_entered() -> Result<()> {
    let db = TestDb::create().await?;
    let accounts = populate(&db).await?;
    let (own, other, admin) = (accounts[0], accounts[1], db.admin().await?);
    let session = Uuid::from_u128(7);
    let sql = "INSERT INTO sessions (id, user_id, identity_kind, identity_subject, refresh_key_sealed, refreshed_at,
                   created_at, last_seen_at, idle_expires_at, absolute_expires_at)
               SELECT $2, $1, 'did', 'x', '', $3, $3, $3, $3 + interval '1 hour', $3 + interval '2 hours'";
    admin
        .execute_typed(sql, &[(&own, Type::UUID), (&session, Type::UUID), (&NOW, Type::TIMESTAMPTZ)])
        .await?;
    let mut api = db.connect(Role::Api).await?;
    let hour = time::Duration::HOUR;
    let mut stands = async |user_id, session_id, now| {
        let tx = api.transaction().await?;
        anyhow::Ok(shared::session::enter(&tx, (user_id, session_id), false, now).await?.is_some())
    };

    assert!(stands(own, session, NOW).await?);
    assert!(stands(own, session, NOW + hour - time::Duration::MICROSECOND).await?);
    assert!(!stands(own, session, NOW + hour).await?, "idle");
    assert!(!stands(other, session, NOW).await?);
    assert!(!stands(own, Uuid::nil(), NOW).await?);
    admin.batch_execute("UPDATE sessions SET idle_expires_at = 'infinity'").await?;
    assert!(!stands(own, session, NOW + 2 * hour).await?, "past its absolute end");
    admin.batch_execute("UPDATE sessions SET revoked_at = now()").await?;
    assert!(!stands(own, session, NOW).await?, "revoked");
    Ok(())
}

#[tokio::test]
async fn the_owner_of_the_tables_sees_no_rows_of_users() -> Result<()> {
    let db = TestDb::create().await?;
    populate(&db).await?;
    let mut owner = db.connect(Role::Owner).await?;
    let tx = owner.transaction().await?;
    for (table, _, key, _) in TABLES {
        assert!(rows(&tx, &format!("SELECT {key} FROM {table}")).await?.is_empty(), "{table}");
    }
    Ok(())
}
