//! Invoked by the deploy, before traffic moves — bring the schema up to date.

mod refused;
mod runtime;

use data_encoding::HEXLOWER;
use migrate::{Deps, run};
use shared::crypto::sha256;
use shared::db::roles::{self, Role};
use testing::{Result, World, deployment};
use time::Duration;

const NAME: &str = "migrate";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
/// The public key of the secret key 1.
const KEY_1: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/// A world whose database is as the operator made it: owned, closed to others, and empty.
async fn empty_world() -> Result<World> {
    let world = World::start().await?;
    let elsewhere = deployment::sibling(&world.db.admin_database_url()?, "postgres", None)?;
    let admin = deployment::connect(&elsewhere).await?;
    admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", world.db.name)).await?;
    roles::create_database(&admin, &world.db.name).await?;
    Ok(world)
}

/// The names of the steps that ran; an error as the log would tell it.
async fn migrate(world: &World) -> Result<Vec<&'static str>> {
    let deps = world.wire(NAME, Deps::wire).await?;
    let done = run(&deps).await.map_err(|error| anyhow::Error::msg(shared::log::causes(error.as_ref())));
    Ok(done?.applied)
}

/// The error of a migration that is refused.
async fn refusal(world: &World) -> Result<String> {
    match migrate(world).await {
        Ok(applied) => anyhow::bail!("it was not refused, and applied {applied:?}"),
        Err(error) => Ok(error.to_string()),
    }
}

/// A migration as it stands in the repository.
struct Step {
    version: i32,
    name: String,
    sql: String,
}

/// Every file of `migrations/`, in order.
fn steps() -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for entry in std::fs::read_dir(testing::world::root().join("migrations"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let (version, name) = name.split_once('_').unwrap_or_default();
        steps.push(Step {
            version: version.parse()?,
            name: name.to_owned(),
            sql: std::fs::read_to_string(&path)?,
        });
    }
    steps.sort_by_key(|step| step.version);
    Ok(steps)
}

/// Runs and records these steps, as the build did whose last one they end with.
async fn older(world: &World, steps: &[Step]) -> Result<()> {
    let owner = world.db.admin().await?;
    owner
        .batch_execute(
            "SET ROLE satchel_owner;
         CREATE TABLE schema_migrations (version integer CONSTRAINT schema_migrations_pkey PRIMARY KEY,
             name text NOT NULL, checksum bytea NOT NULL, applied_at timestamptz NOT NULL)",
        )
        .await?;
    for step in steps {
        owner.batch_execute(&step.sql).await?;
        let checksum = HEXLOWER.encode(&sha256(step.sql.as_bytes()));
        let record = format!(
            "INSERT INTO schema_migrations VALUES ({}, '{}', '\\x{checksum}', now())",
            step.version, step.name
        );
        owner.batch_execute(&record).await?;
    }
    Ok(())
}

fn names(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.name.as_str()).collect()
}

async fn run_sql(world: &World, sql: &str) -> Result<()> {
    Ok(world.db.admin().await?.batch_execute(sql).await?)
}

/// What a query's one column holds.
async fn texts(world: &World, sql: &str) -> Result<Vec<String>> {
    let rows = world.db.admin().await?.query_typed(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What ran, as the database has it on record: version, name, digest, time, and the row's own version.
async fn record(world: &World) -> Result<Vec<String>> {
    let sql = "SELECT concat_ws(' ', version, name, encode(checksum, 'hex'), applied_at, xmin)
               FROM schema_migrations ORDER BY version";
    texts(world, sql).await
}

/// All that the migrations make: columns, constraints, indexes, functions, policies and grants.
async fn schema(world: &World) -> Result<Vec<String>> {
    let sql = "
        SELECT concat_ws(' ', 'column', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                   pg_get_expr(d.adbin, d.adrelid), pg_get_userbyid(c.relowner), c.relrowsecurity,
                   c.relforcerowsecurity, c.relpersistence, c.relacl)
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
        UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', 'index', indexdef) FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT concat_ws(' ', 'function', pg_get_functiondef(oid), proacl)
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', 'policy', tablename, policyname, roles, cmd, qual, with_check)
            FROM pg_policies WHERE schemaname = 'public'
        ORDER BY 1";
    texts(world, sql).await
}

#[tokio::test]
async fn an_empty_database_gets_every_step_there_is() -> Result<()> {
    let world = empty_world().await?;
    let steps = steps()?;

    assert_eq!(migrate(&world).await?, names(&steps));

    let record = record(&world).await?;
    assert_eq!(record.len(), steps.len());
    for (at, (step, line)) in steps.iter().zip(record).enumerate() {
        let digest = HEXLOWER.encode(&sha256(step.sql.as_bytes()));
        assert_eq!(step.version, i32::try_from(at)? + 1, "versions have no gap");
        let expected = format!("{} {} {digest} 2026-01-09 12:00:00", step.version, step.name);
        assert!(line.starts_with(&expected), "{line}");
    }
    let others = "SELECT tablename::text FROM pg_tables
                  WHERE schemaname = 'public' AND tableowner <> 'satchel_owner'";
    assert_eq!(texts(&world, others).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn the_schema_is_the_one_the_functions_work_on() -> Result<()> {
    let world = empty_world().await?;
    migrate(&world).await?;

    assert_eq!(schema(&world).await?, schema(&World::start().await?).await?);
    world.sign_in(DID, KEY_1).await?;
    assert_eq!(world.db.count("SELECT count(*) FROM sessions").await?, 1);
    Ok(())
}

#[tokio::test]
async fn run_twice_it_does_nothing_the_second_time() -> Result<()> {
    let world = empty_world().await?;
    migrate(&world).await?;
    world.sign_in(DID, KEY_1).await?;
    let (record_before, schema_before) = (record(&world).await?, schema(&world).await?);

    world.advance(Duration::days(1));
    assert_eq!(migrate(&world).await?, Vec::<&str>::new());

    assert_eq!(record(&world).await?, record_before);
    assert_eq!(schema(&world).await?, schema_before);
    assert_eq!(world.db.count("SELECT count(*) FROM sessions").await?, 1);
    Ok(())
}

#[tokio::test]
async fn several_at_once_run_each_step_once() -> Result<()> {
    let world = empty_world().await?;

    let (a, b, c) = tokio::join!(migrate(&world), migrate(&world), migrate(&world));

    let mut done = [a?, b?, c?];
    done.sort_by_key(Vec::len);
    assert_eq!(done, [vec![], vec![], names(&steps()?)]);
    assert_eq!(record(&world).await?.len(), steps()?.len());
    Ok(())
}

#[tokio::test]
async fn a_database_some_steps_behind_gets_the_rest() -> Result<()> {
    let world = empty_world().await?;
    migrate(&world).await?;
    let (all, whole) = (steps()?, schema(&world).await?);
    // As an older deployment left it, which had the first three and no more.
    let world = empty_world().await?;
    older(&world, &all[..3]).await?;
    assert!(schema(&world).await?.len() < whole.len());

    assert_eq!(migrate(&world).await?, names(&all[3..]));

    assert_eq!(schema(&world).await?, whole);
    Ok(())
}

#[tokio::test]
async fn the_owner_is_the_only_role_that_can_run_it() -> Result<()> {
    let world = empty_world().await?;
    for role in [Role::Auth, Role::Api, Role::Jobs] {
        let secret = format!("satchel/database/{}", role.short_name());
        let deps = world.wire_with(NAME, &[("DATABASE_SECRET", &secret)], Deps::wire).await?;
        let error =
            run(&deps).await.err().map(|error| shared::log::causes(error.as_ref())).unwrap_or_default();
        assert!(error.contains("permission denied for schema public"), "{role:?}: {error}");
    }
    assert_eq!(schema(&world).await?, Vec::<String>::new());
    Ok(())
}
