//! Provider keys that are wrong, or are no more: failed with a code that tells the operator which, and no storm.

use sandbox::Service;
use serde_json::json;
use setup_lightning::Deps;
use testing::deployment::{BTCPAY_KEY, VOLTAGE_KEY};
use testing::{Outcome, Result, World};

use super::{DID, NAME, OTHER_DID, User, calls, one_of_each, rows, satoshi, send, step, wire};

/// What is configured as a provider's key from now on.
fn put_key(world: &World, provider: &str, key: &str) {
    world.sandbox.secrets().put(&format!("satchel/{provider}"), &json!({ "api_key": key }).to_string());
}

fn failed(answer: &Outcome, at: &str, code: &str) -> Result<()> {
    assert_eq!((answer.status.as_u16(), answer.text("/status")?), (200, "failed"), "{answer:?}");
    assert_eq!(answer.body["canRetry"], true);
    let step = step(answer, at)?;
    assert_eq!((&step["state"], &step["lastErrorCode"]), (&"failed".into(), &code.into()));
    for said in ["authenticat", "unauthori", "authoriz", "sandbox", "http", "wrong-key"] {
        assert!(!answer.reply.body.to_lowercase().contains(said), "{said}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_key_fails_the_setup_at_its_step_and_calls_no_more() -> Result<()> {
    for (provider, service, at, code) in [
        ("voltage", Service::Voltage, "create_node", "VOLTAGE_KEY_REFUSED"),
        ("btcpay", Service::Btcpay, "create_store", "BTCPAY_KEY_REFUSED"),
    ] {
        let world = World::start().await?;
        put_key(&world, provider, "wrong-key");
        let user = User::new(&world, DID, "alice").await?;
        let deps = wire(&world).await?;
        let answer = send(&deps, &user.setup(&satoshi())).await?;
        failed(&answer, at, code)?;
        let asked = world.sandbox.calls_to(service, "/");
        assert!((1..=2).contains(&asked), "{asked} calls to {provider}");

        let called = calls(&world);
        for call in [user.setup(&satoshi()), user.status()] {
            let again = send(&deps, &call).await?;
            assert_eq!((again.status, &again.body), (answer.status, &answer.body));
        }
        assert_eq!(calls(&world), called, "{provider} was asked again");
        let logged = format!("lightning_setup_log WHERE event = 'given_up' AND error_code = '{code}'");
        assert_eq!(rows(&world, &logged).await?, 1);
        assert_eq!(rows(&world, "audit_logs WHERE action = 'setup.failed'").await?, 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_revoked_key_is_told_and_a_retry_with_a_new_one_ends_the_setup() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &user.setup(&satoshi())).await?.status, 200, "both keys are good");

    let other = User::new(&world, OTHER_DID, "bob").await?;
    let sandbox = &world.sandbox;
    assert!(sandbox.btcpay().revoke_key(BTCPAY_KEY) && sandbox.voltage().revoke_key(VOLTAGE_KEY));
    let body = json!({ "username": "bob" });
    failed(&send(&deps, &other.setup(&body)).await?, "create_node", "VOLTAGE_KEY_REFUSED")?;

    sandbox.voltage().accept_key("new-voltage-key");
    put_key(&world, "voltage", "new-voltage-key");
    let half = send(&deps, &other.retry()).await?;
    failed(&half, "create_store", "BTCPAY_KEY_REFUSED")?;
    assert_eq!(half.body["hasVoltageNode"], true);

    sandbox.btcpay().add_key("new-btcpay-key", ALL_STORES)?;
    put_key(&world, "btcpay", "new-btcpay-key");
    let done = send(&deps, &other.retry()).await?;
    assert_eq!(done.text("/status")?, "fully_configured", "{done:?}");
    assert_eq!(rows(&world, "lightning_addresses").await?, 2);
    assert_eq!((sandbox.btcpay().stores().len(), sandbox.voltage().nodes().len()), (2, 2));
    Ok(())
}

/// What the key of `docs/setup.md` may do.
const ALL_STORES: &[&str] = &["btcpay.store.canmodifystoresettings", "btcpay.store.cancreateinvoice"];

#[tokio::test]
async fn a_provider_switched_off_leaves_what_is_there_and_says_so() -> Result<()> {
    let world = World::start().await?;
    put_key(&world, "btcpay", "wrong-key");
    let user = User::new(&world, DID, "alice").await?;
    failed(
        &send(&wire(&world).await?, &user.setup(&satoshi())).await?,
        "create_store",
        "BTCPAY_KEY_REFUSED",
    )?;
    let off = world.wire_with(NAME, &[("BTCPAY_URL", ""), ("BTCPAY_SECRET", "")], Deps::wire).await?;
    let answer = send(&off, &user.retry()).await?;
    assert_eq!(
        (answer.status.as_u16(), answer.text("/status")?),
        (200, "partially_configured"),
        "{answer:?}"
    );
    assert_eq!(step(&answer, "create_store")?["lastErrorCode"], "BTCPAY_NOT_CONFIGURED");
    assert_eq!((&answer.body["hasVoltageNode"], &answer.body["canRetry"]), (&true.into(), &true.into()));
    assert_eq!(rows(&world, "lightning_addresses").await?, 0);

    put_key(&world, "btcpay", BTCPAY_KEY);
    let done = send(&wire(&world).await?, &user.retry()).await?;
    assert_eq!(done.text("/status")?, "fully_configured", "{done:?}");
    one_of_each(&world).await
}
