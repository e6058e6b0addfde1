//! Providers that say no: told by a code, asked no more, and gone on with once somebody has mended it.

use std::time::Duration;

use anyhow::{Context, ensure};
use sandbox::{Misbehaviour, Route, Service, When};
use shared::breaker;
use shared::setup::{State, Step};
use testing::Result;
use testing::deployment::{BTCPAY_KEY, VOLTAGE_KEY};

use crate::check;
use crate::scene::{ORIGIN, Scene, User, beside, joined};

/// What the key of `docs/setup.md` may do, and less.
const ALL: &[&str] = &["btcpay.store.canmodifystoresettings", "btcpay.store.cancreateinvoice"];
const TOO_LITTLE: &[&str] = &["btcpay.store.canviewstoresettings", "btcpay.store.cancreateinvoice"];
const STORES: &str = "/btcpay/api/v1/stores";

/// A refusal, where it stops a setup, and how somebody mends it.
struct Refusal {
    code: &'static str,
    step: Step,
    service: Service,
    begins: fn(&Scene) -> Result<()>,
    mended: fn(&Scene) -> Result<()>,
    users: u64,
}

fn put_key(scene: &Scene, provider: &str, key: &str) {
    let document = serde_json::json!({ "api_key": key }).to_string();
    scene.world.sandbox.secrets().put(&format!("satchel/{provider}"), &document);
}

/// So that the next call is refused, and the store is there.
fn revoked_while_connecting(scene: &Scene) {
    let sandbox = scene.world.sandbox.handle();
    tokio::spawn(async move {
        while sandbox.calls_to(Service::Btcpay, &format!("{STORES}/")) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sandbox.btcpay().revoke_key(BTCPAY_KEY);
    });
}

static REFUSALS: [Refusal; 6] = [
    Refusal {
        code: "VOLTAGE_KEY_REFUSED",
        step: Step::CreateNode,
        service: Service::Voltage,
        begins: |scene| {
            scene.world.sandbox.voltage().revoke_key(VOLTAGE_KEY);
            Ok(())
        },
        mended: |scene| {
            scene.world.sandbox.voltage().accept_key("new-key");
            put_key(scene, "voltage", "new-key");
            Ok(())
        },
        users: 6,
    },
    Refusal {
        code: "BTCPAY_KEY_REFUSED",
        step: Step::CreateStore,
        service: Service::Btcpay,
        begins: |scene| {
            scene.world.sandbox.btcpay().revoke_key(BTCPAY_KEY);
            Ok(())
        },
        mended: |scene| {
            scene.world.sandbox.btcpay().add_key("new-key", ALL)?;
            put_key(scene, "btcpay", "new-key");
            Ok(())
        },
        users: 6,
    },
    Refusal {
        code: "BTCPAY_KEY_REFUSED",
        step: Step::CreateStore,
        service: Service::Btcpay,
        begins: |scene| scene.world.sandbox.btcpay().add_key(BTCPAY_KEY, TOO_LITTLE),
        mended: |scene| scene.world.sandbox.btcpay().add_key(BTCPAY_KEY, ALL),
        users: 6,
    },
    Refusal {
        code: "BTCPAY_STORE_LIMIT",
        step: Step::CreateStore,
        service: Service::Btcpay,
        begins: |scene| {
            scene.world.sandbox.btcpay().set_store_quota(Some(0));
            Ok(())
        },
        mended: |scene| {
            scene.world.sandbox.btcpay().set_store_quota(None);
            Ok(())
        },
        users: 6,
    },
    // The store is there, and the key may do nothing with it any more.
    Refusal {
        code: "BTCPAY_KEY_REFUSED",
        step: Step::ConnectNode,
        service: Service::Btcpay,
        begins: |scene| {
            let connect = Route::service(Service::Btcpay).method("PUT");
            scene.world.sandbox.faults().add(connect, When::Times(1), Misbehaviour::Stall { millis: 60 })?;
            revoked_while_connecting(scene);
            Ok(())
        },
        mended: |scene| scene.world.sandbox.btcpay().add_key(BTCPAY_KEY, ALL),
        users: 1,
    },
    Refusal {
        code: "BTCPAY_REJECTED",
        step: Step::CreateStore,
        service: Service::Btcpay,
        begins: |scene| {
            let body = r#"[{"path":"Name","message":"not this one"}]"#.into();
            let stores = Route::service(Service::Btcpay).method("POST").path(STORES);
            scene.world.sandbox.faults().add(
                stores,
                When::Always,
                Misbehaviour::FailBefore { status: 422, body },
            )
        },
        mended: |scene| {
            scene.world.sandbox.faults().clear();
            Ok(())
        },
        users: 6,
    },
];

/// Of the providers.
fn calls(scene: &Scene) -> u64 {
    let providers = [Service::Btcpay, Service::Voltage, Service::Lnd];
    providers.into_iter().map(|provider| scene.world.sandbox.calls_to(provider, "/")).sum()
}

/// Failed at its step with its code, in the status and in the log, after no more calls than that takes.
async fn is_told(scene: &Scene, user: &User, refusal: &Refusal) -> Result<()> {
    let setup = scene.first_run(user).await?;
    ensure!((setup.state, setup.step) == (State::Failed, refusal.step), "{}", scene.story(user).await?);
    let status = check::status(scene, user).await?;
    let step = status.steps.iter().find(|step| step.name == refusal.step.name()).context("no such step")?;
    ensure!(step.state == "failed" && step.last_error_code.as_deref() == Some(refusal.code), "{step:?}");
    ensure!(status.can_retry && !status.has_lightning_address, "{status:?}");
    Ok(())
}

/// However often it is looked for what is due.
async fn is_not_tried_again(scene: &Scene) -> Result<()> {
    let before = calls(scene);
    for _ in 0..24 * 60 / 10 {
        scene.world.advance(time::Duration::minutes(10));
        ensure!(scene.jobs.take_up(None, ORIGIN).await?.is_none(), "it was taken up again");
    }
    ensure!(calls(scene) == before, "{} calls for nothing", calls(scene) - before);
    Ok(())
}

async fn refused(refusal: &'static Refusal) -> Result<()> {
    let scene = Scene::start().await?;
    (refusal.begins)(&scene)?;
    let mut users = Vec::new();
    for number in 0..refusal.users {
        let user = scene.user(&format!("user-{number}")).await?;
        is_told(&scene, &user, refusal).await?;
        users.push(user);
    }
    let asked = scene.world.sandbox.calls_to(refusal.service, "/");
    // The step before it at the same provider, the refusal, and once more if the key had changed.
    ensure!(asked <= refusal.users * 3, "{asked} calls for {} setups", refusal.users);
    let states = breaker::states(&scene.admin).await?;
    ensure!(states.iter().all(|state| !state.open), "a refusal is no outage: {states:?}");
    is_not_tried_again(&scene).await?;
    (refusal.mended)(&scene)?;
    for user in &users {
        scene.finish(user, 1).await?;
    }
    scene.settle().await?;
    for user in &users {
        check::whole(&scene, user).await?;
    }
    check::nothing_left_over(&scene, i64::try_from(refusal.users)?).await
}

#[test]
fn what_a_provider_refuses_is_told_and_not_asked_again_until_somebody_retries() -> Result<()> {
    let worlds: Vec<_> = REFUSALS.iter().map(|refusal| (refusal, beside(move || refused(refusal)))).collect();
    let mut wrong = Vec::new();
    for (refusal, world) in worlds {
        if let Err(error) = joined(world) {
            wrong.push(format!("{} at {}: {error:#}", refusal.code, refusal.step.name()));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
