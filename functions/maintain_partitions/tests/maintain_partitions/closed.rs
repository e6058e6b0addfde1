//! The months are reached through their table and its policies, and in no other way.

use shared::db::roles::Role;
use testing::{Result, World};
use time::macros::datetime;
use tokio_postgres::error::SqlState;

use super::{maintain, months, put, tables, wire, world_without_months};

const REFUSED: Option<SqlState> = Some(SqlState::INSUFFICIENT_PRIVILEGE);

async fn refusal(world: &World, role: Role, sql: &str) -> Result<Option<SqlState>> {
    let client = world.db.connect(role).await?;
    Ok(client.batch_execute(sql).await.err().and_then(|error| error.code().cloned()))
}

#[tokio::test]
async fn no_role_reads_or_writes_a_partition_by_its_own_name() -> Result<()> {
    let world = world_without_months().await?;
    maintain(&wire(&world).await?).await?;
    // One on its way, too.
    world
        .db
        .admin()
        .await?
        .batch_execute("ALTER TABLE activity_logs DETACH PARTITION activity_logs_2026_04")
        .await?;
    let partitions = tables(&world).await?;
    assert_eq!(partitions.len(), 5, "{partitions:?}");
    for role in [Role::Auth, Role::Api, Role::Webhooks, Role::Jobs] {
        for table in &partitions {
            for sql in ["SELECT FROM", "DELETE FROM", "TRUNCATE", "DROP TABLE"] {
                let sql = format!("{sql} {table}");
                assert_eq!(refusal(&world, role, &sql).await?, REFUSED, "{}: {sql}", role.name());
            }
            let insert = format!(
                "INSERT INTO {table} (id, user_id, action, details, created_at)
                 VALUES (gen_random_uuid(), gen_random_uuid(), 'x', '{{}}', now())"
            );
            assert_eq!(refusal(&world, role, &insert).await?, REFUSED, "{}: {insert}", role.name());
        }
    }
    Ok(())
}

#[tokio::test]
async fn only_the_schedules_may_have_the_months_kept() -> Result<()> {
    let world = World::start().await?;
    let before = months(&world).await?;
    for role in [Role::Auth, Role::Api, Role::Webhooks] {
        for sql in [
            "SELECT keep_activity_logs(now() + interval '9 years', 1)",
            "SELECT count_waiting_activity_logs()",
        ] {
            assert_eq!(refusal(&world, role, sql).await?, REFUSED, "{}: {sql}", role.name());
        }
    }
    for sql in [
        "SELECT keep_activity_logs(now(), 0)",
        "SELECT keep_activity_logs(now(), -1)",
        "SELECT keep_activity_logs(NULL, 90)",
        "SELECT keep_activity_logs(now(), NULL)",
    ] {
        let code = refusal(&world, Role::Jobs, sql).await?;
        assert_eq!(code, Some(SqlState::INVALID_PARAMETER_VALUE), "{sql}");
    }
    assert_eq!(months(&world).await?, before);
    Ok(())
}

/// A role that may make things of its own name in its session must not be able to have the owner run them.
#[tokio::test]
async fn what_a_caller_makes_in_its_own_session_is_not_run_as_the_owner() -> Result<()> {
    let world = world_without_months().await?;
    let grant = format!("GRANT TEMPORARY ON DATABASE {} TO satchel_jobs", world.db.name);
    world.db.admin().await?.batch_execute(&grant).await?;
    let jobs = world.db.connect(Role::Jobs).await?;
    jobs.batch_execute(
        "CREATE TEMPORARY TABLE pg_class (oid oid, relname name, relnamespace oid, relkind char, relispartition boolean);
         CREATE TEMPORARY TABLE activity_logs_default (id uuid, created_at timestamptz);
         CREATE FUNCTION pg_temp.to_char(timestamptz, text) RETURNS text LANGUAGE sql AS $$ SELECT 'users' $$;
         SET search_path = pg_temp, public",
    )
    .await?;

    jobs.batch_execute("SELECT public.keep_activity_logs('2026-01-09 12:00 UTC', 90)").await?;

    assert_eq!(months(&world).await?, ["activity_logs_2026_01"]);
    Ok(())
}

#[tokio::test]
async fn the_policies_hold_for_rows_in_months_and_out_of_them() -> Result<()> {
    let world = world_without_months().await?;
    maintain(&wire(&world).await?).await?;
    put(&world, &[world.now(), datetime!(2030-01-01 0:00 UTC)]).await?;
    let mut api = world.db.connect(Role::Api).await?;
    let seen = "SELECT count(*) FROM activity_logs";
    for (account, expected) in
        [("", 0), ("00000000-0000-0000-0000-000000000007", 2), ("00000000-0000-0000-0000-000000000008", 0)]
    {
        let tx = api.transaction().await?;
        tx.batch_execute(&format!("SELECT set_config('app.user_id', '{account}', true)")).await?;
        assert_eq!(tx.query_typed_one(seen, &[]).await?.get::<_, i64>(0), expected, "{account}");
    }
    let owner = world.db.connect(Role::Owner).await?;
    assert_eq!(owner.query_typed_one(seen, &[]).await?.get::<_, i64>(0), 0);
    Ok(())
}
