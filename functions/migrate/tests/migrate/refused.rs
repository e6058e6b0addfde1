//! Histories that no migration may be run on, and steps that fail.

use testing::{Result, World};

use super::{empty_world, migrate, names, record, refusal, run_sql, schema, steps};

#[tokio::test]
async fn a_step_edited_after_it_ran_stops_everything() -> Result<()> {
    let world = World::start().await?;
    let digests = "UPDATE schema_migrations SET checksum = sha256('another text') WHERE version = 2;
                   DROP TABLE idempotency_keys;
                   DELETE FROM schema_migrations WHERE version = 6";
    run_sql(&world, digests).await?;
    let (record_before, schema_before) = (record(&world).await?, schema(&world).await?);

    assert_eq!(refusal(&world).await?, "migration 2 was edited after it ran");

    assert_eq!(record(&world).await?, record_before, "the step that is missing was run all the same");
    assert_eq!(schema(&world).await?, schema_before);
    Ok(())
}

#[tokio::test]
async fn a_database_newer_than_this_build_stops_it() -> Result<()> {
    let world = World::start().await?;
    run_sql(&world, "INSERT INTO schema_migrations VALUES (9999, 'later', '', now())").await?;
    let before = record(&world).await?;

    assert_eq!(refusal(&world).await?, "the database has migration 9999, which this build lacks");

    assert_eq!(record(&world).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_behind_and_can_be_tried_again() -> Result<()> {
    let world = empty_world().await?;
    // In the way of the last statement but a few of the first step, so that much of it has run by then.
    run_sql(&world, "CREATE TABLE sessions (mine text)").await?;
    let before = schema(&world).await?;

    let error = refusal(&world).await?;
    assert!(error.starts_with("migration 1 failed and was rolled back: "), "{error}");
    assert!(error.contains(r#"relation "sessions" already exists"#), "{error}");
    assert_eq!(record(&world).await?, Vec::<String>::new());
    run_sql(&world, "DROP TABLE schema_migrations").await?;
    assert_eq!(schema(&world).await?, before);

    run_sql(&world, "DROP TABLE sessions").await?;
    assert_eq!(migrate(&world).await?, names(&steps()?));
    Ok(())
}

#[tokio::test]
async fn steps_before_the_one_that_fails_stay_done() -> Result<()> {
    let world = empty_world().await?;
    run_sql(&world, "CREATE TABLE nodes (mine text)").await?;

    let error = refusal(&world).await?;
    assert!(error.starts_with("migration 3 failed and was rolled back: "), "{error}");
    assert_eq!(record(&world).await?.len(), 2);

    run_sql(&world, "DROP TABLE nodes").await?;
    assert_eq!(migrate(&world).await?, names(&steps()?[2..]));
    Ok(())
}

#[tokio::test]
async fn a_step_that_loses_its_connection_is_what_the_error_names() -> Result<()> {
    let world = empty_world().await?;
    // Whoever makes the table `nodes` is cut off.
    let cut = "CREATE FUNCTION cut() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
                   IF to_regclass('public.nodes') IS NOT NULL THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
               END $$;
               CREATE EVENT TRIGGER cut ON ddl_command_end EXECUTE FUNCTION cut()";
    run_sql(&world, cut).await?;

    let error = refusal(&world).await?;
    assert!(error.starts_with("migration 3 failed and was rolled back: "), "{error}");

    // The lock went with the connection.
    run_sql(&world, "DROP EVENT TRIGGER cut; DROP FUNCTION cut").await?;
    assert_eq!(migrate(&world).await?, names(&steps()?[2..]));
    Ok(())
}
