//! A run that lost its lease: what it still asks for may be done, what it still writes is not, and nothing that
//! another uses goes.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sandbox::{Misbehaviour, Route, Service, When};
use shared::db::Type;
use shared::setup::{Claimed, Saga, Setup, SetupError, State};
use testing::Result;

use crate::check;
use crate::faults::{CALLS, Call};
use crate::scene::{ORIGIN, Scene, SceneOptions, User, beside, full, joined};

const LONG: Duration = Duration::from_mins(1);
/// Long enough for another to come to its end meanwhile, and only to be overtaken.
const HELD_UP: u64 = 1_200;
const A_MOMENT: u64 = 40;
const CREATE_STORE: (&str, &str) = ("POST", "/btcpay/api/v1/stores");

type Ran = std::result::Result<Setup, SetupError>;

async fn run(saga: &Saga, claimed: Claimed) -> Ran {
    Box::pin(saga.run(claimed, Instant::now() + LONG, ORIGIN)).await
}

/// The lease, for somebody else, while its holder still believes in it; `None` when that was quicker.
async fn take_over(scene: &Scene, user: &User) -> Result<Option<Claimed>> {
    let due = "UPDATE lightning_setups SET due_at = $2 WHERE id = $1";
    let now = scene.world.now();
    // A row that is just being written is passed over.
    while scene.setup(user).await?.state == State::Running {
        scene.admin.execute_typed(due, &[(&user.setup_id, Type::UUID), (&now, Type::TIMESTAMPTZ)]).await?;
        if let Some(claimed) = scene.jobs.take_up(Some(user.setup_id), ORIGIN).await? {
            return Ok(Some(claimed));
        }
    }
    Ok(None)
}

/// Until everything that was ordered has struck.
async fn struck(scene: &Scene) {
    while !scene.world.sandbox.faults().list().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// All that is written down of the setup, but for what was read: that is audited whoever reads.
async fn rows(scene: &Scene, user: &User) -> Result<String> {
    let sql = "SELECT concat_ws(E'\\n',
        (SELECT to_jsonb(s) FROM lightning_setups s WHERE id = $1),
        (SELECT jsonb_agg(to_jsonb(p) ORDER BY name) FROM lightning_setup_steps p WHERE setup_id = $1),
        (SELECT to_jsonb(k) FROM lightning_setup_secrets k WHERE setup_id = $1),
        (SELECT jsonb_agg(to_jsonb(l) ORDER BY id) FROM lightning_setup_log l WHERE setup_id = $1),
        (SELECT to_jsonb(a) FROM lightning_addresses a WHERE setup_id = $1),
        (SELECT jsonb_agg(action ORDER BY seq) FROM audit_logs WHERE user_id = $2 AND action NOT LIKE '%.read'))";
    let params = [(&user.setup_id as _, Type::UUID), (&user.id as _, Type::UUID)];
    Ok(scene.admin.query_typed_one(sql, &params).await?.get(0))
}

/// Runs the setup until what was ordered has struck a run; then another takes its lease and does `meanwhile` what it
/// does. Whether it could; then the first run has found its lease lost, and has written nothing since.
async fn overtaken(
    scene: &Scene,
    user: &User,
    meanwhile: impl AsyncFnOnce(Claimed) -> Result<()>,
) -> Result<bool> {
    let (mut saga, mut claimed) = (&scene.api, scene.begin(user).await?);
    loop {
        let mut first = pin!(run(saga, claimed));
        tokio::select! {
            // What is only called after a loss is the next run's.
            ended = &mut first => { ended?; }
            () = struck(scene) => {
                let second = async {
                    let Some(claimed) = take_over(scene, user).await? else { return Ok(None) };
                    meanwhile(claimed).await?;
                    anyhow::Ok(Some(rows(scene, user).await?))
                };
                let (first, written) = tokio::join!(first, second);
                let Some(written) = written? else { return Ok(false) };
                ensure!(matches!(first, Err(SetupError::LeaseLost)), "the first run is {first:?}");
                ensure!(rows(scene, user).await? == written, "the first run wrote after the second had ended");
                return Ok(true);
            }
        }
        scene.world.advance(time::Duration::minutes(15));
        saga = &scene.jobs;
        claimed = saga.take_up(Some(user.setup_id), ORIGIN).await?.context("the call was never made")?;
    }
}

async fn at(scene: &Scene, user: &User, call: &Call, held_up: &Misbehaviour) -> Result<bool> {
    call.strike(scene, held_up, 1)?;
    let overtaken = overtaken(scene, user, async |claimed| {
        let setup = run(&scene.jobs, claimed).await?;
        ensure!(setup.state == State::Finished, "the second run is {:?}", setup.state);
        Ok(())
    });
    let overtaken = overtaken.await?;
    scene.settle().await?;
    check::whole(scene, user).await?;
    Ok(overtaken)
}

/// Returns how many setups were overtaken, of how many.
async fn at_every_call(seed: u64, held_up: Misbehaviour, newest_first: bool) -> Result<[u32; 2]> {
    let scene = Scene::start_with(SceneOptions { seed, ..SceneOptions::default() }).await?;
    scene.world.sandbox.btcpay().list_newest_first(newest_first);
    let (mut setups, mut overtaken, mut wrong) = (0, 0, Vec::new());
    for (number, call) in CALLS.iter().enumerate() {
        let user = scene.user(&format!("user-{number}")).await?;
        match at(&scene, &user, call, &held_up).await {
            Ok(was) => overtaken += u32::from(was),
            Err(error) => {
                wrong.push(format!("{} {held_up:?}, newest first {newest_first}: {error:#}", call.step));
                scene.world.sandbox.faults().clear();
            }
        }
        setups += 1;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    check::nothing_left_over(&scene, i64::from(setups)).await?;
    Ok([overtaken, setups])
}

#[test]
fn a_run_whose_lease_another_took_writes_nothing_and_takes_nothing_away() -> Result<()> {
    let stall = |millis| Misbehaviour::Stall { millis };
    let stall_after = |millis| Misbehaviour::StallAfter { millis };
    let mut forms = vec![
        (stall(HELD_UP), true),
        (stall_after(HELD_UP), true),
        (stall(A_MOMENT), true),
        (stall_after(A_MOMENT), false),
    ];
    if full() {
        forms.extend([(stall(HELD_UP), false), (stall_after(HELD_UP), false), (stall(A_MOMENT), false)]);
    }
    let worlds: Vec<_> = (1..)
        .zip(forms)
        .map(|(seed, (held_up, newest_first))| beside(move || at_every_call(seed, held_up, newest_first)))
        .collect();
    let (mut overtaken, mut setups, mut wrong) = (0, 0, Vec::new());
    for world in worlds {
        match joined(world) {
            Ok([were, of]) => (overtaken, setups) = (overtaken + were, setups + of),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    println!("{overtaken} of {setups} setups overtaken, at {} calls", CALLS.len());
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(overtaken * 4 > setups * 3, "the first run was quicker too often");
    Ok(())
}

fn create_store() -> Route {
    Route::service(Service::Btcpay).method(CREATE_STORE.0).path(CREATE_STORE.1)
}

/// Work that was given up is done while both look for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_finds_a_second_store_after_its_lease_was_lost_leaves_both() -> Result<()> {
    for newest_first in [false, true] {
        let scene = Scene::start().await?;
        let btcpay = scene.world.sandbox.btcpay();
        btcpay.list_newest_first(newest_first);
        let user = scene.user("satoshi").await?;
        let faults = scene.world.sandbox.faults();
        faults.add(create_store(), When::Times(1), Misbehaviour::CloseBefore)?;
        let list = Route::service(Service::Btcpay).method("GET").path(CREATE_STORE.1);
        faults.add(list, When::Times(1), Misbehaviour::Stall { millis: HELD_UP })?;

        let website = format!("https://app.example.com/#{}", scene.marker(&user, 1).await?);
        let first = overtaken(&scene, &user, async |claimed| {
            assert_eq!(run(&scene.jobs, claimed).await?.state, State::Finished);
            btcpay.add_store("late", Some(&website))?;
            Ok(())
        });

        assert!(first.await?, "it was overtaken");
        assert_eq!(check::stores(&scene, &user).await?.len(), 2, "newest first: {newest_first}");
        assert_eq!(scene.settle().await?.stores_deleted, 1);
        check::whole(&scene, &user).await?;
        check::nothing_left_over(&scene, 1).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_refused_after_its_lease_was_lost_fails_nothing() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    let stall = Misbehaviour::Stall { millis: HELD_UP };
    scene.world.sandbox.faults().add(create_store(), When::Times(1), stall)?;
    let first = overtaken(&scene, &user, async |claimed| {
        assert_eq!(run(&scene.jobs, claimed).await?.state, State::Finished);
        // The first run's store is one too many.
        scene.world.sandbox.btcpay().set_store_quota(Some(1));
        Ok(())
    });
    assert!(first.await?, "it was overtaken");
    scene.world.sandbox.btcpay().set_store_quota(None);
    assert_eq!(check::stores(&scene, &user).await?.len(), 1);
    check::whole(&scene, &user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_gets_no_answer_after_its_lease_was_lost_puts_nothing_off() -> Result<()> {
    let scene = Scene::start_with(SceneOptions {
        timeout: Duration::from_millis(HELD_UP),
        ..SceneOptions::default()
    })
    .await?;
    let user = scene.user("satoshi").await?;
    let stall = Misbehaviour::StallAfter { millis: 4 * HELD_UP };
    scene.world.sandbox.faults().add(create_store(), When::Times(1), stall)?;
    let first = overtaken(&scene, &user, async |claimed| {
        let setup = run(&scene.jobs, claimed).await?;
        assert_eq!(setup.state, State::Finished);
        Ok(())
    });
    assert!(first.await?, "it was overtaken");
    check::whole(&scene, &user).await
}

/// The node stays as it is, and the first run's time comes to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_after_its_lease_was_lost_does_not_give_it_back() -> Result<()> {
    let scene = Scene::start().await?;
    let user = scene.user("satoshi").await?;
    scene.world.sandbox.voltage().set_delay(sandbox::lnd::Delay { polls: 0, milliseconds: 60_000 });
    let claimed = scene.begin(&user).await?;
    let first = scene.api.run(claimed, Instant::now() + Duration::from_millis(500), ORIGIN);
    let second = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        // Held, and not run.
        let held = take_over(&scene, &user).await?.context("it is due")?;
        anyhow::Ok((held, rows(&scene, &user).await?))
    };
    let (first, second) = tokio::join!(first, second);
    let (held, before) = second?;
    assert!(matches!(first, Err(SetupError::LeaseLost)), "{first:?}");
    assert_eq!(rows(&scene, &user).await?, before);
    assert!(scene.jobs.take_up(Some(user.setup_id), ORIGIN).await?.is_none(), "the lease is the second's");
    drop(held);
    Ok(())
}
