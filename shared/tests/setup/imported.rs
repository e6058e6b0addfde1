//! Addresses brought over from another system, ids missing and all.

use anyhow::{Context, ensure};
use shared::btcpay::StoreId;
use shared::crypto::Secret;
use shared::db::{self, Type};
use shared::setup::repair::{AdoptError, Imported, adopt, broken};
use shared::setup::{BeginError, NodeSource, State, row};
use testing::Result;
use testing::world::ISSUER_URL;
use uuid::Uuid;

use crate::check;
use crate::scene::{Made, Scene, SceneOptions, User, first_seed, full, pick, seeded};
use sandbox::Service;

pub const THEIR_WEBHOOK: &str = "https://old.example.com/hook";

type Adopted = std::result::Result<Uuid, AdoptError>;

/// A row as the other system had it.
pub async fn import(scene: &Scene, user: &User, store: Option<&str>, node: Option<&str>) -> Result<()> {
    let sql = "INSERT INTO imported_lightning_addresses
                   (user_id, address, btcpay_store_id, voltage_node_id, imported_at)
               VALUES ($1, $2, $3, $4, $5)";
    let address = format!("{}@pay.example.com", user.name);
    let params = [
        (&user.id as _, Type::UUID),
        (&address as _, Type::TEXT),
        (&store as _, Type::TEXT),
        (&node as _, Type::TEXT),
        (&scene.world.now() as _, Type::TIMESTAMPTZ),
    ];
    scene.admin.execute_typed(sql, &params).await?;
    Ok(())
}

/// As the operator's tool does: each by itself, and what had failed is tried again.
async fn adopt_all(scene: &Scene) -> Result<Vec<(Imported, Adopted)>> {
    let (saga, now) = (&scene.jobs, scene.world.now());
    let mut connection = saga.db.connection().await?;
    let mut adopted = Vec::new();
    for imported in broken(connection.client()).await? {
        let tx = connection.transaction().await?;
        let outcome = adopt(&tx, &imported, &saga.switch.domain, (&saga.random, now)).await;
        let outcome = outcome.map(|adopted| adopted.setup_id);
        if let Ok(id) = &outcome {
            row::retry(&tx, *id, now).await?;
            db::commit(tx).await?;
        }
        adopted.push((imported, outcome));
    }
    Ok(adopted)
}

/// Adopts the user's address and runs it as far as it goes.
pub async fn repair(scene: &Scene, user: &mut User) -> Result<State> {
    let adopted = adopt_all(scene).await?;
    let (_, id) =
        adopted.into_iter().find(|(imported, _)| imported.user_id == user.id).context("not broken")?;
    user.setup_id = id.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(scene.run_now(user).await?.state)
}

async fn rows(scene: &Scene) -> Result<i64> {
    scene
        .number(
            "SELECT (SELECT count(*) FROM lightning_setups) + (SELECT count(*) FROM lightning_setup_log)
                    + (SELECT count(*) FROM audit_logs)",
        )
        .await
}

/// With a webhook of the other system's, and one that calls us already.
pub async fn store_with_webhooks(scene: &Scene, name: &str) -> Result<String> {
    let id = scene.world.sandbox.btcpay().add_store(name, Some("https://shop.example.com/"))?;
    let store: StoreId = id.parse()?;
    for url in [THEIR_WEBHOOK.to_owned(), format!("{ISSUER_URL}/v1/webhooks/btcpay/{id}")] {
        scene.btcpay.create_webhook(&store, &url, &Secret::new("theirs".into())).await?;
    }
    Ok(id)
}

/// What one row lacks, as chance has it: no id, an empty one, or one that is there.
#[derive(Default)]
struct Found {
    stores_kept: u64,
    webhooks: u64,
    nodes_left: u64,
    registered: u64,
}

async fn a_random_row(scene: &Scene, number: u64, chance: u64, found: &mut Found) -> Result<User> {
    let source = if chance.is_multiple_of(5) { NodeSource::Registered } else { NodeSource::Voltage };
    let mut user = scene.user_with(&format!("user-{number}"), source).await?;
    if source == NodeSource::Registered {
        scene.register_node(&user).await?;
        found.registered += 1;
    }
    user.store = match pick(chance / 5, 4) {
        0 => None,
        1 => Some(String::new()),
        2 => Some(scene.world.sandbox.btcpay().add_store("Shop", None)?),
        _ => {
            found.webhooks += 1;
            Some(store_with_webhooks(scene, "Shop").await?)
        }
    };
    let node = match pick(chance / 20, 3) {
        0 => None,
        1 => Some(String::new()),
        _ => Some(scene.voltage.create_node(&format!("theirs-{number}")).await?.to_string()),
    };
    import(scene, &user, user.store.as_deref(), node.as_deref()).await?;
    user.store = user.store.filter(|store| !store.is_empty());
    found.stores_kept += u64::from(user.store.is_some());
    found.nodes_left += u64::from(node.is_some_and(|node| !node.is_empty()));
    Ok(user)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ids_are_missing_each_address_is_found_and_set_up_and_what_was_there_stays() -> Result<()> {
    let (seed, number) = (first_seed(), if full() { 500 } else { 40 });
    let scene = Scene::start_with(SceneOptions { seed, ..SceneOptions::default() }).await?;
    let (chance, mut users, mut found) = (seeded(seed), Vec::new(), Found::default());
    for number in 0..number {
        scene.world.advance(time::Duration::SECOND);
        let chance = u64::from(u32::from_be_bytes(chance.bytes()));
        users.push(a_random_row(&scene, number, chance, &mut found).await?);
    }
    let adopted = adopt_all(&scene).await?;
    assert_eq!(adopted.len(), users.len());
    for ((imported, id), user) in adopted.into_iter().zip(&mut users) {
        assert_eq!(imported.user_id, user.id, "in the order they were brought over");
        user.setup_id = id.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        assert_eq!(scene.run_now(user).await?.state, State::Finished, "{}", scene.story(user).await?);
    }
    scene.settle().await?;
    let stores = scene.world.sandbox.btcpay().stores();
    let others =
        stores.iter().flat_map(|store| &store.webhooks).filter(|webhook| webhook.url == THEIR_WEBHOOK);
    assert_eq!(others.count() as u64, found.webhooks, "the other system's webhooks are its own");
    for user in &users {
        check::whole(&scene, user).await?;
    }
    check::nothing_left_over(&scene, i64::try_from(number)?).await?;
    let kept = |kept| Made { created: kept, kept };
    assert_eq!(scene.made(Service::Btcpay, "store"), kept(number));
    assert_eq!(scene.made(Service::Voltage, "node"), kept(number - found.registered + found.nodes_left));

    let before = rows(&scene).await?;
    assert!(adopt_all(&scene).await?.is_empty(), "a second time there is nothing to do");
    assert_eq!(rows(&scene).await?, before);
    println!(
        "{number} addresses from seed {seed}: {} stores kept, {} nodes of the other system left alone",
        found.stores_kept, found.nodes_left
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn adopted_twice_before_it_is_finished_an_address_has_one_setup() -> Result<()> {
    let scene = Scene::start().await?;
    let mut user = scene.user("satoshi").await?;
    import(&scene, &user, None, None).await?;
    let first = adopt_all(&scene).await?;
    let before = rows(&scene).await?;
    let second = adopt_all(&scene).await?;
    let ids = |adopted: &[(Imported, Adopted)]| {
        adopted.iter().filter_map(|(_, id)| id.as_ref().ok().copied()).collect()
    };
    let (first, second): (Vec<Uuid>, Vec<Uuid>) = (ids(&first), ids(&second));
    assert_eq!((first.len(), &first), (1, &second));
    assert_eq!(rows(&scene).await?, before);
    assert_eq!(repair(&scene, &mut user).await?, State::Finished);
    check::whole(&scene, &user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_gone_is_told_and_set_right_in_the_import() -> Result<()> {
    let scene = Scene::start().await?;
    for (name, right) in
        [("alice", None), ("bob", Some(scene.world.sandbox.btcpay().add_store("Shop", None)?))]
    {
        let mut user = scene.user(name).await?;
        import(&scene, &user, Some("2gone3gone4gone5gone"), None).await?;
        assert_eq!(repair(&scene, &mut user).await?, State::Failed);
        let status = check::status(&scene, &user).await?;
        let codes: Vec<_> = status.steps.iter().filter_map(|step| step.last_error_code.as_deref()).collect();
        assert_eq!(codes, ["STORE_GONE"]);
        assert_eq!(repair(&scene, &mut user).await?, State::Failed, "nothing is made in its place unasked");

        let set_right = "UPDATE imported_lightning_addresses SET btcpay_store_id = $2 WHERE user_id = $1";
        scene.admin.execute_typed(set_right, &[(&user.id, Type::UUID), (&right, Type::TEXT)]).await?;
        assert_eq!(repair(&scene, &mut user).await?, State::Finished, "{}", scene.story(&user).await?);
        user.store = right;
        check::whole(&scene, &user).await?;
    }
    check::nothing_left_over(&scene, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_person_can_decide_is_left_as_it_was() -> Result<()> {
    let scene = Scene::start().await?;
    let (taker, late) = (scene.user("satoshi").await?, scene.user("satoshi").await?);
    scene.first_run(&taker).await?;
    import(&scene, &late, None, None).await?;
    let taken_store = scene.setup(&taker).await?.btcpay_store_id;
    let (borrower, foreign, odd) =
        (scene.user("hal").await?, scene.user("wei").await?, scene.user("x y").await?);
    import(&scene, &borrower, taken_store.as_deref(), None).await?;
    import(&scene, &foreign, None, None).await?;
    let elsewhere =
        "UPDATE imported_lightning_addresses SET address = 'wei@elsewhere.example' WHERE user_id = $1";
    scene.admin.execute_typed(elsewhere, &[(&foreign.id, Type::UUID)]).await?;
    import(&scene, &odd, None, None).await?;
    let mut good = scene.user("nick").await?;
    import(&scene, &good, None, None).await?;

    let before = rows(&scene).await?;
    let adopted = adopt_all(&scene).await?;
    for (imported, outcome) in &adopted {
        let as_expected = match outcome {
            Err(AdoptError::Begin(BeginError::AddressTaken)) => imported.user_id == late.id,
            Err(AdoptError::Begin(BeginError::Db(error))) => {
                imported.user_id == borrower.id
                    && error.constraint() == Some("lightning_setups_btcpay_store_id_key")
            }
            Err(AdoptError::Address(_)) => [foreign.id, odd.id].contains(&imported.user_id),
            Err(AdoptError::Begin(BeginError::HasOther)) => false,
            Ok(_) => imported.user_id == good.id,
        };
        ensure!(as_expected, "{}: {outcome:?}", imported.address);
    }
    assert_eq!(adopted.len(), 5);
    // The one that could be adopted, and its beginning.
    assert_eq!(rows(&scene).await?, before + 2);
    assert_eq!(repair(&scene, &mut good).await?, State::Finished);
    check::whole(&scene, &good).await?;
    check::whole(&scene, &taker).await?;
    check::nothing_left_over(&scene, 2).await
}
