//! What Postgres says, and what callers make of it.

use anyhow::Context;
use shared::db::{DbError, Param, Type, commit, execute, query};
use shared::http::{ApiError, ErrorCode};
use testing::{Result, TestDb};
use tokio_postgres::Client;

async fn error_of(client: &Client, sql: &'static str, params: &[Param<'_>]) -> Result<DbError> {
    query(client, sql, params).await.err().with_context(|| format!("it succeeded: {sql}"))
}

#[tokio::test]
async fn a_constraint_is_known_by_its_name() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.admin().await?;
    client
        .batch_execute(
            "INSERT INTO users (id, created_at, updated_at) VALUES (gen_random_uuid(), now(), now())",
        )
        .await?;

    for (sql, constraint) in [
        ("INSERT INTO users SELECT * FROM users", "users_pkey"),
        ("UPDATE users SET username = ''", "users_username_length"),
        (
            "INSERT INTO identities (user_id, kind, subject, created_at)
             VALUES (gen_random_uuid(), 'did', 'x', now())",
            "identities_user_id_fkey",
        ),
        (
            "INSERT INTO identities (user_id, kind, subject, created_at) SELECT id, 'face', 'x', now() FROM users",
            "identities_kind",
        ),
    ] {
        let error = error_of(&client, sql, &[]).await?;
        assert_eq!(error.constraint(), Some(constraint), "{error:?}");
        assert_eq!(error.to_string(), format!("constraint {constraint} refused the statement"));
        assert_eq!(ApiError::from(error).code, ErrorCode::Internal);
    }
    Ok(())
}

#[tokio::test]
async fn a_mistake_of_ours_is_no_more_than_that() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.admin().await?;
    for sql in [
        "SELECT 1 / 0",
        "SELECT nothing FROM nowhere",
        "SELEC 1",
        "INSERT INTO users (id) VALUES (NULL)",
        "SELECT 'x'::uuid",
    ] {
        let error = error_of(&client, sql, &[]).await?;
        assert!(matches!(error, DbError::Other(_)), "{sql}: {error:?}");
        assert_eq!(error.constraint(), None);
        assert_eq!(ApiError::from(error).code, ErrorCode::Internal);
    }
    // A value of another type than its place is refused before it is sent.
    let error = error_of(&client, "SELECT $1::uuid", &[(&"text", Type::UUID)]).await?;
    assert!(matches!(error, DbError::Other(_)), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_lock_waited_for_too_long_is_a_lock_timeout() -> Result<()> {
    let db = TestDb::create().await?;
    let (holder, waiter) = (db.admin().await?, db.admin().await?);
    holder.batch_execute("BEGIN; LOCK TABLE users").await?;
    waiter.batch_execute("SET lock_timeout = '50ms'").await?;

    let error = error_of(&waiter, "SELECT FROM users", &[]).await?;

    assert!(matches!(error, DbError::LockTimeout(_)), "{error:?}");
    assert_eq!(ApiError::from(error).code, ErrorCode::Unavailable);
    Ok(())
}

#[tokio::test]
async fn a_statement_stopped_by_its_timeout_may_be_tried_again() -> Result<()> {
    let db = TestDb::create().await?;
    let client = db.admin().await?;
    client.batch_execute("SET statement_timeout = '20ms'").await?;
    let error = error_of(&client, "SELECT pg_sleep(5)", &[]).await?;
    assert!(matches!(error, DbError::Unavailable(_)), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_shuts_us_out_is_unavailable() -> Result<()> {
    let db = TestDb::create().await?;
    let (admin, client) = (db.admin().await?, db.admin().await?);
    let pid: i32 = client.query_typed_one("SELECT pg_backend_pid()", &[]).await?.get(0);

    let terminate = async {
        let running = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%pg_sleep%'";
        while admin.query_typed_opt(running, &[(&pid, Type::INT4)]).await?.is_none() {}
        admin.query_typed("SELECT pg_terminate_backend($1)", &[(&pid, Type::INT4)]).await?;
        anyhow::Ok(())
    };
    let (during, terminated) = tokio::join!(error_of(&client, "SELECT pg_sleep(30)", &[]), terminate);
    terminated?;
    let during = during?;
    assert!(matches!(during, DbError::Unavailable(_)), "{during:?}");
    assert_eq!(ApiError::from(during).code, ErrorCode::Unavailable);

    let after = error_of(&client, "SELECT 1", &[]).await?;
    assert!(matches!(after, DbError::Unavailable(_)), "{after:?}");
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_lost_a_race_may_be_tried_again() -> Result<()> {
    let db = TestDb::create().await?;
    let (mut first, mut second) = (db.admin().await?, db.admin().await?);
    first.batch_execute("INSERT INTO rate_limits VALUES ('a', now(), 0), ('b', now(), 0)").await?;
    for client in [&first, &second] {
        client.batch_execute("SET deadlock_timeout = '20ms'").await?;
    }

    // Both saw the row before either changed it.
    let snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    let (one, two) = (first.transaction().await?, second.transaction().await?);
    for tx in [&one, &two] {
        tx.batch_execute(snapshot).await?;
        query(tx, "SELECT FROM rate_limits", &[]).await?;
    }
    execute(&one, "UPDATE rate_limits SET count = 1", &[]).await?;
    commit(one).await?;
    let error = execute(&two, "UPDATE rate_limits SET count = 2", &[]).await.err();
    assert!(matches!(error, Some(DbError::Unavailable(_))), "{error:?}");
    drop(two);

    // Each holds what the other wants.
    let (one, two) = (first.transaction().await?, second.transaction().await?);
    execute(&one, "UPDATE rate_limits SET count = 1 WHERE key = 'a'", &[]).await?;
    execute(&two, "UPDATE rate_limits SET count = 2 WHERE key = 'b'", &[]).await?;
    let (crossed, back) = tokio::join!(
        async {
            let outcome = execute(&one, "UPDATE rate_limits SET count = 1 WHERE key = 'b'", &[]).await;
            drop(one);
            outcome
        },
        async {
            let outcome = execute(&two, "UPDATE rate_limits SET count = 2 WHERE key = 'a'", &[]).await;
            drop(two);
            outcome
        },
    );
    let lost: Vec<DbError> = [crossed, back].into_iter().filter_map(Result::err).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(matches!(lost[0], DbError::Unavailable(_)), "{lost:?}");
    Ok(())
}
