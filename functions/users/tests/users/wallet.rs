//! `POST /v1/users/{id}/wallet`, and finding by wallet

use futures_util::future::join_all;
use serde_json::json;
use testing::world::SignedIn;
use testing::{Call, Result};

use super::{Scene, full, part};

const MIXED: &str = "0x52908400098527886E0F7030069857D2E4169EE7";
const LOWER: &str = "0x52908400098527886e0f7030069857d2e4169ee7";

fn claim(user: &SignedIn, address: &str) -> Call {
    part("POST", "/v1/users/{id}/wallet", user, user).json(&json!({ "walletAddress": address }))
}

fn look_up(user: &SignedIn, address: &str) -> Call {
    Call::new("GET /v1/users/wallet/{walletAddress}")
        .path("walletAddress", address)
        .bearer(&user.access_token)
}

#[tokio::test]
async fn a_wallet_is_a_claim_however_often_it_is_made() -> Result<()> {
    let scene = Scene::new().await?;
    let first = scene.send(&claim(&scene.alice, MIXED)).await?;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.body["wallets"], json!([{ "address": LOWER, "verified": false }]));
    let again = scene.send(&claim(&scene.alice, LOWER)).await?;
    assert_eq!((again.status.as_u16(), &again.body), (200, &first.body));
    assert_eq!(scene.rows("wallets WHERE verified_at IS NULL").await?, 1);
    assert_eq!(scene.rows("distributed_locks WHERE expires_at > clock_timestamp()").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_wallet_leads_to_who_proved_it_before_who_says_so() -> Result<()> {
    let scene = Scene::new().await?;
    for user in [&scene.alice, &scene.bob] {
        scene.world.advance(time::Duration::seconds(1));
        assert_eq!(scene.send(&claim(user, MIXED)).await?.status, 201);
    }
    let owner = async || -> Result<String> {
        let answer = scene.send(&look_up(&scene.admin, MIXED)).await?;
        Ok(answer.text("/id")?.to_owned())
    };
    assert_eq!(owner().await?, scene.alice.user_id.to_string());
    scene
        .sql(&format!("UPDATE wallets SET verified_at = now() WHERE user_id = '{}'", scene.bob.user_id))
        .await?;
    assert_eq!(owner().await?, scene.bob.user_id.to_string());
    // Each finds themselves by it, and nobody else.
    for user in [&scene.alice, &scene.bob] {
        assert_eq!(scene.send(&look_up(user, LOWER)).await?.text("/id")?, user.user_id.to_string());
    }
    assert_eq!(scene.send(&look_up(&scene.alice, "0xother")).await?.refusal()?, (404, "NOT_FOUND"));
    Ok(())
}

#[tokio::test]
async fn others_find_nobody_by_a_wallet() -> Result<()> {
    let scene = Scene::new().await?;
    assert_eq!(scene.send(&claim(&scene.alice, MIXED)).await?.status, 201);
    assert_eq!(scene.send(&look_up(&scene.bob, MIXED)).await?.refusal()?, (404, "NOT_FOUND"));
    Ok(())
}

#[tokio::test]
async fn what_is_no_address_is_refused_and_there_are_fifty_at_most() -> Result<()> {
    let scene = Scene::new().await?;
    for bad in [
        json!({}),
        json!({ "walletAddress": 1 }),
        json!({ "walletAddress": "a b" }),
        json!({ "walletAddress": "\u{0}" }),
    ] {
        let call = part("POST", "/v1/users/{id}/wallet", &scene.alice, &scene.alice).json(&bad);
        let answer = scene.send(&call).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{bad}");
        assert_eq!(answer.fields(), ["walletAddress"]);
    }
    for nth in 0..50 {
        assert_eq!(scene.send(&claim(&scene.alice, &format!("w{nth}"))).await?.status, 201);
    }
    assert_eq!(scene.send(&claim(&scene.alice, "w50")).await?.refusal()?, (409, "CONFLICT"));
    assert_eq!(scene.send(&claim(&scene.alice, "w49")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn two_at_once_do_not_pass_the_limit() -> Result<()> {
    let scene = Scene::new().await?;
    let most = format!(
        "INSERT INTO wallets (user_id, address, created_at) SELECT '{}', 'w' || n, now() FROM generate_series(1, 49) n",
        scene.alice.user_id
    );
    scene.sql(&most).await?;
    // Both have looked how many there are before either writes.
    let mut admin = scene.world.db.admin().await?;
    let held = admin.transaction().await?;
    held.batch_execute("LOCK TABLE wallets IN EXCLUSIVE MODE").await?;
    let (one, two) = (claim(&scene.alice, "one"), claim(&scene.alice, "two"));
    let (one, two, released) = tokio::join!(scene.send(&one), scene.send(&two), async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        held.commit().await
    });
    released?;
    let mut statuses = [one?.status.as_u16(), two?.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!((statuses, scene.rows("wallets").await?), ([201, 409], 50));
    Ok(())
}

#[tokio::test]
async fn of_many_at_once_one_is_new() -> Result<()> {
    let scene = Scene::new().await?;
    let times = if full() { 100 } else { 30 };
    let patiently = async |nth: usize| -> Result<u16> {
        loop {
            let spelling = if nth.is_multiple_of(2) { MIXED } else { LOWER };
            let answer = scene.send(&claim(&scene.alice, spelling)).await?;
            if answer.header("retry-after").is_none() {
                return Ok(answer.status.as_u16());
            }
        }
    };
    let answers: Vec<u16> = join_all((0..times).map(patiently)).await.into_iter().collect::<Result<_>>()?;
    let count = |status: u16| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!((count(201), count(200)), (1, times - 1));
    assert_eq!(scene.rows("wallets").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_lock_somebody_holds_is_waited_for() -> Result<()> {
    let scene = Scene::new().await?;
    assert_eq!(scene.send(&claim(&scene.alice, LOWER)).await?.status, 201);
    scene
        .sql("UPDATE distributed_locks SET expires_at = clock_timestamp() + interval '700 milliseconds'")
        .await?;
    let begun = std::time::Instant::now();
    assert_eq!(scene.send(&claim(&scene.alice, LOWER)).await?.status, 200);
    assert!(begun.elapsed() >= std::time::Duration::from_millis(500), "{:?}", begun.elapsed());
    Ok(())
}
