//! A setup taken back: whatever it had made goes, whatever breaks off on the way, and nothing that is another's.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sandbox::{Misbehaviour, Route, Service, When};
use shared::db::Type;
use shared::setup::undo::{Funds, UndoError, undo};
use shared::setup::{NodeSource, SetupError, State, orphans, row};
use testing::Result;
use testing::world::ISSUER_URL;

use crate::check;
use crate::faults::{CALLS, Call};
use crate::imported::{THEIR_WEBHOOK, import, repair, store_with_webhooks};
use crate::killed::Polled;
use crate::scene::{ORIGIN, Scene, SceneOptions, User, beside, full, joined};

const LATER: time::Duration = time::Duration::minutes(15);
/// A call is given up after so many tries.
const TRIES: u32 = 3;

/// How far a setup has come that is taken back.
#[derive(Clone, Copy)]
enum Life {
    Finished,
    OnARegisteredNode,
    /// Its store was brought over from another system.
    Imported,
    /// This call was done, and its answer was a refusal, or was lost.
    Stopped(&'static Call),
}

impl Life {
    fn all() -> Vec<Self> {
        let stopped = CALLS.iter().filter(|call| !call.is_after_a_loss()).map(Self::Stopped);
        stopped.chain([Self::Finished, Self::OnARegisteredNode, Self::Imported]).collect()
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::OnARegisteredNode => "on a registered node",
            Self::Imported => "imported",
            Self::Stopped(call) => call.step,
        }
    }

    async fn live(self, scene: &Scene, name: &str) -> Result<User> {
        let source = if matches!(self, Self::OnARegisteredNode) {
            NodeSource::Registered
        } else {
            NodeSource::Voltage
        };
        let mut user = scene.user_with(name, source).await?;
        match self {
            Self::Finished => _ = scene.first_run(&user).await?,
            Self::OnARegisteredNode => {
                scene.register_node(&user).await?;
                scene.first_run(&user).await?;
            }
            Self::Imported => {
                let store = store_with_webhooks(scene, "Shop").await?;
                import(scene, &user, Some(&store), None).await?;
                user.store = Some(store);
                repair(scene, &mut user).await?;
            }
            Self::Stopped(call) => {
                // LND's refusals are about a moment; what says nothing is tried again.
                let refusal = Misbehaviour::FailAfter { status: 400, body: "{}".into() };
                let (answer, times) = if call.service == Service::Lnd {
                    (Misbehaviour::CloseAfter, TRIES)
                } else {
                    (refusal, 1)
                };
                call.strike(scene, &answer, times)?;
                scene.first_run(&user).await?;
                ensure!(scene.setup(&user).await?.state != State::Finished, "it was not stopped");
            }
        }
        // Whoever was at it is not any more.
        scene.world.advance(LATER);
        scene.world.sandbox.faults().clear();
        Ok(user)
    }
}

fn everything_that_can_happen() -> Vec<Misbehaviour> {
    let mut kinds = vec![
        Misbehaviour::FailBefore { status: 503, body: "maintenance".into() },
        Misbehaviour::FailAfter { status: 500, body: "broken".into() },
        Misbehaviour::CloseAfter,
    ];
    if full() {
        kinds.extend([
            Misbehaviour::CloseBefore,
            Misbehaviour::CutBody { bytes: 5 },
            Misbehaviour::Garbage,
            Misbehaviour::Duplicate,
            Misbehaviour::RateLimited { retry_after: 0 },
            Misbehaviour::FailBefore { status: 403, body: "{}".into() },
        ]);
    }
    kinds
}

async fn undone(scene: &Scene, user: &User) -> std::result::Result<(), UndoError> {
    undo(&scene.jobs, user.setup_id, Funds::Abandon, ORIGIN).await
}

/// Nothing of it is left, here or there, and its name and its user are free.
async fn all_is_gone(scene: &Scene, user: &User) -> Result<()> {
    ensure!(scene.setup(user).await?.state == State::Undone, "it is {:?}", scene.setup(user).await?.state);
    ensure!(check::stores(scene, user).await?.is_empty(), "its store is there");
    let mark = scene.marker(user, 1).await?;
    let nodes = scene.world.sandbox.voltage().nodes();
    ensure!(nodes.iter().all(|node| node.name != mark), "its node is there");
    let left = "SELECT (SELECT count(*) FROM lightning_addresses WHERE setup_id = $1)
        + (SELECT count(*) FROM lightning_setup_steps WHERE setup_id = $1 AND state <> 'undone')
        + (SELECT count(*) FROM lightning_setup_secrets WHERE setup_id = $1 AND num_nonnulls(
               password_sealed, root_key_sealed, seed_sealed, macaroon_sealed, webhook_secret_sealed) > 0)";
    let left: i64 = scene.admin.query_typed_one(left, &[(&user.setup_id, Type::UUID)]).await?.get(0);
    ensure!(left == 0, "{left} rows are left of it");
    for told in [
        "SELECT count(*) FROM lightning_setup_log WHERE setup_id = $1 AND event = 'undone'",
        "SELECT count(*) FROM audit_logs WHERE resource_id = $1::text AND action = 'setup.undone'",
    ] {
        let told: i64 = scene.admin.query_typed_one(told, &[(&user.setup_id, Type::UUID)]).await?.get(0);
        ensure!(told == 1, "told {told} times");
    }
    if let Some(store) = &user.store {
        let store =
            scene.world.sandbox.btcpay().store(store).context("the store that was there before is gone")?;
        let (ours, theirs): (Vec<_>, Vec<_>) =
            store.webhooks.iter().partition(|webhook| webhook.url.starts_with(ISSUER_URL));
        ensure!(ours.is_empty(), "it still calls us");
        ensure!(theirs.len() == 1 && theirs[0].url == THEIR_WEBHOOK, "the other system's webhook is gone");
    }
    Ok(())
}

/// Those who are not to notice: another user, and whoever has a store and a node that look like it.
struct Others {
    user: User,
    store: String,
    node: String,
}

impl Others {
    async fn move_in(scene: &Scene) -> Result<Self> {
        let user = scene.user("neighbour").await?;
        scene.first_run(&user).await?;
        let website = "https://app.example.com/#satchel-test-aaaaaaaaaaaaaaaaaaaaaaaaaa-aaaaaaaaaaaaa";
        let store = scene.world.sandbox.btcpay().add_store("user-0", Some(website))?;
        let node = scene.voltage.create_node("user-0").await?.to_string();
        Ok(Self { user, store, node })
    }

    async fn notice_nothing(&self, scene: &Scene) -> Result<()> {
        ensure!(scene.world.sandbox.btcpay().store(&self.store).is_some(), "a stranger's store is gone");
        let nodes = scene.world.sandbox.voltage().nodes();
        ensure!(nodes.iter().any(|node| node.node_id == self.node), "a stranger's node is gone");
        check::whole(scene, &self.user).await
    }
}

/// Its user is impatient: what is half gone is not gone on with, and nobody is told that it is there.
async fn meanwhile_retried(scene: &Scene, user: &User) -> Result<()> {
    let offered = check::status(scene, user).await?.can_retry;
    let state = scene.setup(user).await?.state;
    if row::retry(&scene.admin, user.setup_id, scene.world.now()).await? {
        ensure!(offered, "a retry that was not offered");
        scene.run_now(user).await?;
    } else {
        ensure!(!offered || state != State::Failed, "a retry was offered");
    }
    if scene.setup(user).await?.state == State::Finished {
        check::whole(scene, user).await?;
    }
    Ok(())
}

/// Whether the undo came to the call at all.
async fn broken_off(
    scene: &Scene,
    user: &User,
    service: Service,
    nth: u32,
    misbehave: &Misbehaviour,
) -> Result<bool> {
    let faults = scene.world.sandbox.faults();
    if nth > 0 {
        faults.add(Route::service(service), When::Times(nth), Misbehaviour::Stall { millis: 0 })?;
    }
    faults.add(Route::service(service), When::Times(TRIES), misbehave.clone())?;
    let ordered = faults.list().len();
    let first = undone(scene, user).await;
    let struck = faults.list().last().is_none_or(|last| last.when != When::Times(TRIES));
    ensure!(ordered > 0 && (first.is_ok() || struck), "it broke off by itself: {first:?}");
    faults.clear();
    if let Err(error) = first {
        ensure!(matches!(error, UndoError::Setup(SetupError::Upstream(_))), "{error:?}");
        scene.world.advance(LATER);
        meanwhile_retried(scene, user).await?;
        scene.world.advance(LATER);
        undone(scene, user).await.map_err(|error| anyhow::anyhow!("again: {error:?}"))?;
    }
    Ok(struck)
}

async fn at_every_call(life: Life, seed: u64) -> Result<u32> {
    let scene = Scene::start_with(SceneOptions { seed, ..SceneOptions::default() }).await?;
    let others = Others::move_in(&scene).await?;
    let mut undone = 0;
    for service in [Service::Btcpay, Service::Voltage] {
        for misbehave in everything_that_can_happen() {
            for nth in 0.. {
                let user = life.live(&scene, &format!("user-{undone}")).await?;
                let what = || format!("{}: {misbehave:?} at call {nth} of {service:?}", life.name());
                let struck = broken_off(&scene, &user, service, nth, &misbehave).await.with_context(what)?;
                all_is_gone(&scene, &user).await.with_context(what)?;
                undone += 1;
                if !struck {
                    break;
                }
            }
        }
    }
    others.notice_nothing(&scene).await?;
    check::no_orphans(&scene).await?;
    Ok(undone)
}

#[test]
fn whatever_call_an_undo_breaks_off_at_undone_again_it_leaves_nothing() -> Result<()> {
    let worlds: Vec<_> = (1..)
        .zip(Life::all())
        .map(|(seed, life)| (life, beside(move || at_every_call(life, seed))))
        .collect();
    let (mut undone, mut wrong) = (0, Vec::new());
    for (life, world) in worlds {
        match joined(world) {
            Ok(of_life) => undone += of_life,
            Err(error) => wrong.push(format!("{}: {error:#}", life.name())),
        }
    }
    println!("{undone} setups undone, of {} lives", Life::all().len());
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn an_undo_that_dies_at_any_await_leaves_nothing_when_it_is_undone_again() -> Result<()> {
    let scene = Scene::start().await?;
    let mut deaths = 0;
    for life in [Life::Finished, Life::Imported] {
        for polls in 1.. {
            let user = life.live(&scene, &format!("user-{deaths}-{}", life.name().len())).await?;
            let first = Polled { future: Box::pin(undone(&scene, &user)), left: polls }.await;
            if let Some(first) = first {
                first.map_err(|error| anyhow::anyhow!("{error:?}"))?;
                all_is_gone(&scene, &user).await?;
                break;
            }
            deaths += 1;
            // What died holds its rows until Postgres has noticed, and may have come to its end after all.
            tokio::time::sleep(Duration::from_millis(20)).await;
            scene.world.advance(LATER);
            match undone(&scene, &user).await {
                Ok(()) => {}
                Err(UndoError::NotNow) if scene.setup(&user).await?.state == State::Undone => {}
                Err(error) => anyhow::bail!("dead at poll {polls}: {error:?}"),
            }
            all_is_gone(&scene, &user).await.with_context(|| format!("dead at poll {polls}"))?;
        }
    }
    println!("{deaths} deaths");
    ensure!(deaths > 10, "an undo has more awaits than that: {deaths}");
    check::no_orphans(&scene).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_undone_can_be_set_up_again_under_the_same_name() -> Result<()> {
    let scene = Scene::start().await?;
    let first = Life::Finished.live(&scene, "satoshi").await?;
    undone(&scene, &first).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let again = User { setup_id: scene.jobs.random.id(scene.world.now()), ..first.clone() };
    assert_eq!(scene.first_run(&again).await?.state, State::Finished);
    assert!(matches!(undone(&scene, &first).await, Err(UndoError::NotNow)), "it was undone before");
    assert!(!row::retry(&scene.admin, first.setup_id, scene.world.now()).await?);
    assert_eq!(check::stores(&scene, &again).await?.len(), 1);
    all_is_gone(&scene, &first).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_wallet_goes_only_when_somebody_says_so() -> Result<()> {
    let scene = Scene::start().await?;
    let user = Life::Finished.live(&scene, "satoshi").await?;
    let kept = undo(&scene.jobs, user.setup_id, Funds::Keep, ORIGIN).await;
    assert!(matches!(kept, Err(UndoError::MayHoldFunds)), "{kept:?}");
    check::whole(&scene, &user).await?;
    // The owner's own node stays, whatever is said.
    let other = Life::OnARegisteredNode.live(&scene, "hal").await?;
    undo(&scene.jobs, other.setup_id, Funds::Keep, ORIGIN)
        .await
        .map_err(|error| anyhow::anyhow!("{error:?}"))?;
    all_is_gone(&scene, &other).await?;
    let nodes = "SELECT count(*) FROM nodes WHERE macaroon_sealed IS NOT NULL";
    assert_eq!(scene.number(nodes).await?, 1);
    check::whole(&scene, &user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_an_undo_overtook_writes_nothing_and_what_it_makes_is_reported() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    let stores = Route::service(Service::Btcpay).method("POST").path("/btcpay/api/v1/stores");
    scene.world.sandbox.faults().add(stores, When::Times(1), Misbehaviour::Stall { millis: 600 })?;
    let claimed = scene.begin(&user).await?;
    let running = undone(&scene, &user).await;
    assert!(matches!(running, Err(UndoError::NotNow)), "{running:?}");
    let overtaken = async {
        while !scene.world.sandbox.faults().list().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        scene.world.advance(LATER);
        undone(&scene, &user).await
    };
    let run = scene.api.run(claimed, Instant::now() + Duration::from_mins(1), ORIGIN);
    let (run, undone) = tokio::join!(run, overtaken);
    undone.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    assert!(matches!(run, Err(SetupError::LeaseLost)), "{run:?}");
    let orphans = orphans::find(&scene.jobs).await?;
    let stores = check::stores(&scene, &user).await?;
    assert_eq!(orphans.iter().map(|orphan| &orphan.id).collect::<Vec<_>>(), [&stores[0].id]);
    Ok(())
}
