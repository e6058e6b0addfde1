//! What one setup, or a provider, can have.

use sandbox::{Misbehaviour, Route, Service, When};
use shared::setup::{NodeSource, State};
use testing::{Result, World, deployment};
use time::Duration;

use super::{
    NAME, NOTHING, begin, begin_many, one_store_and_one_node_each, report, resume, run_sql, setup, wire,
};
use resume_lightning_setups::{Deps, Report};

#[tokio::test]
async fn one_setup_s_trouble_never_stops_the_others() -> Result<()> {
    let world = World::start().await?;
    let good = begin_many(&world, 6).await?;
    // No node was registered for the one; the row of the next is nothing its step can use.
    let bad = begin(&world, "without-a-node", NodeSource::Registered).await?;
    let odd = begin(&world, "odd", NodeSource::Voltage).await?;
    run_sql(&world, &format!("UPDATE lightning_setups SET step = 'bake_macaroon' WHERE id = '{odd}'"))
        .await?;
    // Both come first.
    let first = format!(
        "UPDATE lightning_setups SET due_at = due_at - interval '1 s' WHERE id IN ('{bad}', '{odd}')"
    );
    run_sql(&world, &first).await?;

    assert_eq!(resume(&wire(&world).await?).await?, report(6, 2, 0));

    for id in [bad, odd] {
        assert_eq!(setup(&world, id).await?.state, State::Failed);
    }
    for id in good {
        assert_eq!(setup(&world, id).await?.state, State::Finished);
    }
    Ok(())
}

#[tokio::test]
async fn a_setup_whose_rows_cannot_be_written_is_left_and_taken_up_when_its_lease_is_over() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 4).await?;
    run_sql(
        &world,
        &format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'out of order'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE OF btcpay_store_id ON lightning_setups FOR EACH ROW
             WHEN (NEW.id = '{}' AND NEW.btcpay_store_id IS NOT NULL) EXECUTE FUNCTION refuse()",
            setups[1]
        ),
    )
    .await?;
    let deps = wire(&world).await?;

    assert_eq!(resume(&deps).await?, report(3, 0, 1));
    assert_eq!(resume(&deps).await?, report(0, 0, 0), "its lease is not over");

    run_sql(&world, "DROP TRIGGER refuse ON lightning_setups").await?;
    world.advance(Duration::seconds(91));
    assert_eq!(resume(&deps).await?.finished, 1);
    one_store_and_one_node_each(&world, &setups).await
}

#[tokio::test]
async fn a_provider_that_is_away_leaves_them_waiting_and_is_not_a_failure_of_the_run() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 5).await?;
    let deps = wire(&world).await?;
    resume(&deps).await?;
    let more = begin(&world, "later", NodeSource::Voltage).await?;
    world.advance(Duration::minutes(2));
    world.sandbox.faults().away(Service::Btcpay);

    let found = resume(&deps).await?;
    assert_eq!(found, Report { settled: None, ..report(0, 0, 1) });
    assert_eq!(setup(&world, more).await?.state, State::Running);

    world.sandbox.faults().back(Service::Btcpay);
    world.advance(Duration::minutes(15));
    let settled = shared::setup::settle::Settled { setups: 5, ..NOTHING };
    assert_eq!(resume(&deps).await?, Report { settled: Some(settled), ..report(1, 0, 0) });
    one_store_and_one_node_each(&world, &[&setups[..], &[more]].concat()).await
}

#[tokio::test]
async fn a_provider_switched_off_fails_what_needs_it_and_nothing_else() -> Result<()> {
    let world = World::start().await?;
    let id = begin(&world, "alice", NodeSource::Voltage).await?;
    let off = world.wire_with(NAME, &[("VOLTAGE_SECRET", "")], Deps::wire).await?;
    assert_eq!(resume(&off).await?, report(0, 1, 0));
    let code = "SELECT count(*) FROM lightning_setup_steps WHERE last_error_code = 'VOLTAGE_NOT_CONFIGURED'";
    assert_eq!(world.db.count(code).await?, 1);
    assert_eq!(setup(&world, id).await?.state, State::Failed);
    Ok(())
}

#[tokio::test]
async fn with_nothing_new_to_begin_what_runs_goes_on() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 2).await?;
    let off = world.wire_with(NAME, &[("SETUP_ENABLED", "false")], Deps::wire).await?;
    assert_eq!(resume(&off).await?, report(2, 0, 0));
    one_store_and_one_node_each(&world, &setups).await
}

#[tokio::test]
async fn an_answer_that_is_lost_makes_no_second_store() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 8).await?;
    let route = Route::service(Service::Btcpay).method("POST").path("/btcpay/api/v1/stores");
    world.sandbox.faults().add(route, When::Times(3), Misbehaviour::CloseAfter)?;
    let deps = wire(&world).await?;

    let first = resume(&deps).await?;
    assert!(first.waiting > 0, "{first:?}");
    world.advance(Duration::minutes(15));
    let second = resume(&deps).await?;

    assert_eq!((second.failed, second.waiting), (0, 0), "{first:?} {second:?}");
    one_store_and_one_node_each(&world, &setups).await
}

#[tokio::test]
async fn a_database_that_goes_away_fails_the_run_and_the_next_one_goes_on() -> Result<()> {
    let world = World::start().await?;
    let setups = begin_many(&world, 3).await?;
    let deps = wire(&world).await?;
    let elsewhere = deployment::sibling(&world.db.admin_database_url()?, "postgres", None)?;
    let elsewhere = deployment::connect(&elsewhere).await?;
    // Nothing new may connect, and what is connected is cut off in the middle.
    let route = Route::service(Service::Voltage).path("/voltage/node/create");
    world.sandbox.faults().add(
        route,
        When::Always,
        Misbehaviour::stall(std::time::Duration::from_millis(300)),
    )?;
    let cut = async {
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        let name = &world.db.name;
        let terminate = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND usename = 'satchel_jobs'"
        );
        elsewhere.batch_execute(&terminate).await
    };
    let (first, cut) = tokio::join!(resume(&deps), cut);
    cut?;
    println!("{first:?}");
    world.sandbox.faults().clear();
    world.advance(Duration::minutes(15));
    let second = resume(&deps).await?;
    assert_eq!((second.failed, second.waiting), (0, 0), "{second:?}");
    one_store_and_one_node_each(&world, &setups).await
}
