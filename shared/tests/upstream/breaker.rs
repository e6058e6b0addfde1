//! The circuit breaker: what opens it, what it knows of calls that never came to an end, and whom it stops.

use std::time::Duration;

use shared::breaker::{Breaker, states};
use shared::db::Db;
use shared::lnd::Lnd;
use shared::upstream::{Circuit, Failure, Pins, Provider, UpstreamError, code};
use testing::{Result, World};

use crate::ground::{IMPATIENT, upstream_with, verdict};
use crate::server::{Reply, Server};

const STATE: &str = r#"{"state":"SERVER_ACTIVE"}"#;

/// One process: what it knows it shares with others only through the database.
async fn process(world: &World) -> Result<Breaker> {
    let wire = |config: &mut shared::config::Config| {
        let db = Db::wire(config);
        Breaker::wire(config, &db)
    };
    world.wire("resume_lightning_setups", wire).await
}

fn lnd(url: &str) -> Result<Lnd> {
    Ok(Lnd::at(&upstream_with(&[IMPATIENT]), url, &Pins::public())?)
}

fn patient_lnd(url: &str) -> Result<Lnd> {
    Ok(Lnd::at(&upstream_with(&[]), url, &Pins::public())?)
}

async fn call(breaker: &Breaker, circuit: impl Into<Circuit>, fails: bool) -> &'static str {
    let circuit = circuit.into();
    let provider = circuit.provider();
    let called = async move { if fails { Err(UpstreamError::mistaken_answer(provider)) } else { Ok(()) } };
    verdict(breaker.call(circuit, called).await).0
}

async fn is_open(world: &World, provider: Provider) -> Result<Option<bool>> {
    let states = states(&world.db.admin().await?).await?;
    Ok(states.iter().find(|state| state.provider == provider.name()).map(|state| state.open))
}

#[tokio::test]
async fn half_of_twenty_calls_open_it_for_everybody_and_one_that_comes_through_closes_it() -> Result<()> {
    let world = World::start().await?;
    let (one, other) = (process(&world).await?, process(&world).await?);
    for number in 0..19 {
        call(&one, Provider::Btcpay, number % 2 == 0).await;
    }
    assert_eq!(is_open(&world, Provider::Btcpay).await?, Some(false), "19 calls are too few to tell");
    call(&one, Provider::Btcpay, true).await;
    assert_eq!(is_open(&world, Provider::Btcpay).await?, Some(true));

    let refused = other.call(Provider::Btcpay, async { Ok::<_, UpstreamError>(()) }).await.unwrap_err();
    let after = Failure::Retry { after: Some(Duration::from_secs(15)) };
    assert_eq!((refused.code, refused.failure), (code::BTCPAY_BREAKER_OPEN, after));
    assert_eq!(call(&other, Provider::Voltage, false).await, "OK", "another provider is called");

    world.advance(time::Duration::seconds(16));
    assert_eq!(call(&other, Provider::Btcpay, true).await, code::BTCPAY_UNEXPECTED_ANSWER, "one may try");
    assert_eq!(call(&other, Provider::Btcpay, false).await, code::BTCPAY_BREAKER_OPEN);
    world.advance(time::Duration::seconds(16));
    assert_eq!(call(&other, Provider::Btcpay, false).await, "OK");
    world.advance(time::Duration::seconds(2));
    assert_eq!(call(&one, Provider::Btcpay, false).await, "OK");
    assert_eq!(is_open(&world, Provider::Btcpay).await?, Some(false));
    Ok(())
}

#[tokio::test]
async fn nodes_that_are_dead_stop_no_call_to_another() -> Result<()> {
    let world = World::start().await?;
    let breaker = process(&world).await?;
    let dead = lnd("http://dead.example:8080/n1")?;
    for _ in 0..20 {
        call(&breaker, dead.circuit(), true).await;
    }
    assert_eq!(call(&breaker, dead.circuit(), false).await, code::LND_BREAKER_OPEN);
    let same_host = lnd("http://dead.example:8080/n2")?;
    assert_eq!(call(&breaker, same_host.circuit(), false).await, code::LND_BREAKER_OPEN);

    for url in ["http://well.example:8080/n1", "http://dead.example:8081"] {
        assert_eq!(call(&breaker, lnd(url)?.circuit(), false).await, "OK", "{url}");
    }
    assert_eq!(is_open(&world, Provider::Lnd).await?, Some(true), "of any host");
    world.advance(time::Duration::seconds(16));
    assert_eq!(call(&breaker, dead.circuit(), false).await, "OK");
    assert_eq!(is_open(&world, Provider::Lnd).await?, Some(false));
    Ok(())
}

/// How a function ends its run: it drops what it waits for.
async fn give_up_after(millis: u64, breaker: &Breaker, lnd: &Lnd) {
    let calling = breaker.call(lnd.circuit(), lnd.state());
    let given_up = tokio::time::timeout(Duration::from_millis(millis), calling).await;
    assert!(given_up.is_err(), "it came to an end");
}

async fn counted(world: &World) -> Result<(i32, i32)> {
    let rows =
        world.db.admin().await?.query_typed("SELECT calls, failures FROM provider_breakers", &[]).await?;
    Ok(rows.first().map_or((0, 0), |row| (row.get("calls"), row.get("failures"))))
}

#[tokio::test]
async fn a_call_given_up_counts_if_a_whole_try_of_it_met_with_silence() -> Result<()> {
    for (lnd, failures) in [(patient_lnd as fn(&str) -> _, 0), (lnd, 1)] {
        let world = World::start().await?;
        let breaker = process(&world).await?;
        // given a node that answered once, and then hangs
        let server = Server::start([Reply::json(200, STATE), Reply::Silence]).await?;
        let lnd = lnd(&server.url)?;
        breaker.call(lnd.circuit(), lnd.state()).await?;

        // when a call to it is given up, after less and after more than the time of a try
        give_up_after(600, &breaker, &lnd).await;

        // then the next call of this process has it written down, or has not
        world.advance(time::Duration::seconds(2));
        call(&breaker, lnd.circuit(), false).await;
        assert_eq!(counted(&world).await?, (1 + failures, failures));
    }
    Ok(())
}

#[tokio::test]
async fn twenty_calls_given_up_in_silence_open_it() -> Result<()> {
    let world = World::start().await?;
    let breaker = process(&world).await?;
    let server = Server::start([Reply::json(200, STATE), Reply::Silence]).await?;
    let lnd = lnd(&server.url)?;
    breaker.call(lnd.circuit(), lnd.state()).await?;
    let all = (0..20).map(|_| give_up_after(700, &breaker, &lnd));
    futures_util::future::join_all(all).await;
    world.advance(time::Duration::seconds(2));
    assert_eq!(call(&breaker, lnd.circuit(), false).await, code::LND_BREAKER_OPEN);
    Ok(())
}
