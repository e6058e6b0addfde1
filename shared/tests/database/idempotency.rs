//! The same request twice, at once, after a failure, and a day later.

use std::time::Duration;

use shared::crypto::{KeyRing, SealingKeys};
use shared::db::commit;
use shared::db::roles::Role;
use shared::fresh;
use shared::idempotency::{IdempotencyError, KEPT_FOR, Kept, Key, begin, delete_expired, finish};
use shared::random::Random;
use testing::{Result, TestDb};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{NOW, act_for, create_account, number};

struct Caller {
    db: TestDb,
    ring: KeyRing,
    user_id: Uuid,
}

impl Caller {
    async fn new() -> Result<Self> {
        let (db, random) = (TestDb::create().await?, Random::system());
        let document: SealingKeys = serde_json::from_value(fresh::sealing(NOW, &random))?;
        let ring = KeyRing::try_from(document).map_err(anyhow::Error::msg)?;
        let user_id = create_account(&db.connect(Role::Auth).await?, &random).await?;
        Ok(Self { db, ring, user_id })
    }

    fn key(&self, fingerprint: u8) -> Key<'_> {
        Key { user_id: self.user_id, route: "POST /v1/nodes", key: "k", fingerprint: [fingerprint; 32] }
    }

    async fn client(&self) -> Result<Client> {
        self.db.connect(Role::Api).await
    }

    /// One whole request: takes the key, or gets the answer given before.
    async fn request(
        &self,
        client: &mut Client,
        key: &Key<'_>,
        answer: &[u8],
    ) -> Result<Result<Option<Kept>, IdempotencyError>> {
        let tx = client.transaction().await?;
        act_for(&tx, key.user_id).await?;
        let begun = begin(&tx, key, &self.ring, NOW).await;
        if let Ok(None) = begun {
            let at = (NOW, &Random::system());
            finish(&tx, key, (201, answer), &self.ring, at)
                .await
                .map_err(|error| anyhow::anyhow!("{error:?}"))?;
        }
        commit(tx).await?;
        Ok(begun)
    }
}

fn kept(answer: &[u8]) -> Kept {
    Kept { status: 201, body: answer.to_vec() }
}

#[tokio::test]
async fn a_request_repeated_gets_the_first_answer() -> Result<()> {
    let caller = Caller::new().await?;
    let mut client = caller.client().await?;
    let key = caller.key(1);
    assert!(matches!(caller.request(&mut client, &key, b"first").await?, Ok(None)));
    for answer in [b"second", b"third!"] {
        let again = caller.request(&mut client, &key, answer).await?;
        assert_eq!(again.ok().flatten(), Some(kept(b"first")));
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_is_sealed_where_it_is_kept() -> Result<()> {
    let caller = Caller::new().await?;
    let mut client = caller.client().await?;
    let _ = caller.request(&mut client, &caller.key(1), b"hunter2-canary").await?;
    let admin = caller.db.admin().await?;
    let readable =
        "SELECT count(*) FROM idempotency_keys WHERE position('canary'::bytea IN reply_sealed) > 0";
    assert_eq!(number(&admin, readable).await?, 0);

    // Moved to another of the caller's keys, it does not open.
    let move_it = "UPDATE idempotency_keys SET key = 'other'";
    admin.batch_execute(move_it).await?;
    let moved = Key { key: "other", ..caller.key(1) };
    let opened = caller.request(&mut client, &moved, b"x").await?;
    assert!(matches!(opened, Err(IdempotencyError::Open(_))), "{opened:?}");
    Ok(())
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() -> Result<()> {
    let caller = Caller::new().await?;
    let mut client = caller.client().await?;
    let _ = caller.request(&mut client, &caller.key(1), b"first").await?;
    let other = caller.request(&mut client, &caller.key(2), b"x").await?;
    assert!(matches!(other, Err(IdempotencyError::OtherRequest)), "{other:?}");
    let first = caller.request(&mut client, &caller.key(1), b"x").await?;
    assert_eq!(first.ok().flatten(), Some(kept(b"first")));
    Ok(())
}

#[tokio::test]
async fn keys_of_other_routes_and_other_callers_are_other_keys() -> Result<()> {
    let caller = Caller::new().await?;
    let stranger = create_account(&caller.db.connect(Role::Auth).await?, &Random::system()).await?;
    let mut client = caller.client().await?;
    let of_others = [
        caller.key(1),
        Key { route: "POST /v1/other", ..caller.key(2) },
        Key { user_id: stranger, ..caller.key(3) },
        Key { key: "K", ..caller.key(4) },
    ];
    for key in of_others {
        assert!(matches!(caller.request(&mut client, &key, b"x").await?, Ok(None)));
    }
    Ok(())
}

#[tokio::test]
async fn a_twin_waits_for_the_first_and_gets_its_answer() -> Result<()> {
    let caller = Caller::new().await?;
    let (mut first, mut second) = (caller.client().await?, caller.client().await?);
    let key = caller.key(1);
    let tx = first.transaction().await?;
    act_for(&tx, key.user_id).await?;
    assert!(matches!(begin(&tx, &key, &caller.ring, NOW).await, Ok(None)));

    let slow = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let at = (NOW, &Random::system());
        finish(&tx, &key, (201, b"first"), &caller.ring, at)
            .await
            .map_err(|error| anyhow::anyhow!("{error:?}"))?;
        commit(tx).await?;
        anyhow::Ok(())
    };
    let started = std::time::Instant::now();
    let (twin, done) = tokio::join!(caller.request(&mut second, &key, b"second"), slow);
    done?;

    assert_eq!(twin?.ok().flatten(), Some(kept(b"first")));
    assert!(started.elapsed() >= Duration::from_millis(300));
    Ok(())
}

#[tokio::test]
async fn a_twin_of_one_that_fails_does_the_work_itself() -> Result<()> {
    let caller = Caller::new().await?;
    let (mut first, mut second) = (caller.client().await?, caller.client().await?);
    let key = caller.key(1);
    let tx = first.transaction().await?;
    act_for(&tx, key.user_id).await?;
    assert!(matches!(begin(&tx, &key, &caller.ring, NOW).await, Ok(None)));

    let fail = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        tx.rollback().await
    };
    let (twin, failed) = tokio::join!(caller.request(&mut second, &key, b"second"), fail);

    failed?;
    assert!(matches!(twin?, Ok(None)));
    let third = caller.request(&mut second, &key, b"third").await?;
    assert_eq!(third.ok().flatten(), Some(kept(b"second")));
    Ok(())
}

#[tokio::test]
async fn a_twin_that_waited_long_enough_is_told_that_the_first_still_runs() -> Result<()> {
    let caller = Caller::new().await?;
    let (mut first, mut second) = (caller.client().await?, caller.client().await?);
    let key = caller.key(1);
    let tx = first.transaction().await?;
    act_for(&tx, key.user_id).await?;
    assert!(matches!(begin(&tx, &key, &caller.ring, NOW).await, Ok(None)));
    second.batch_execute("SET lock_timeout = '100ms'").await?;

    let twin_tx = second.transaction().await?;
    act_for(&twin_tx, key.user_id).await?;
    let twin = begin(&twin_tx, &key, &caller.ring, NOW).await;

    assert!(matches!(twin, Err(IdempotencyError::InProgress)), "{twin:?}");
    Ok(())
}

#[tokio::test]
async fn of_twenty_twins_one_does_the_work() -> Result<()> {
    let caller = Caller::new().await?;
    let mut clients = futures_util::future::try_join_all((0..20).map(|_| caller.client())).await?;
    let caller = &caller;
    let twins = clients
        .iter_mut()
        .enumerate()
        .map(|(n, client)| async move { caller.request(client, &caller.key(1), &[u8::try_from(n)?]).await });
    let outcomes = futures_util::future::try_join_all(twins).await?;

    let answers: Vec<Option<Kept>> = outcomes.into_iter().filter_map(Result::ok).collect();
    assert_eq!(answers.len(), 20);
    assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), 1);
    let bodies: std::collections::HashSet<&[u8]> =
        answers.iter().flatten().map(|kept| kept.body.as_slice()).collect();
    assert_eq!(bodies.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_key_is_free_again_after_a_day() -> Result<()> {
    let caller = Caller::new().await?;
    let mut client = caller.client().await?;
    let _ = caller.request(&mut client, &caller.key(1), b"first").await?;
    let mut begin_at = async |now, fingerprint| {
        let tx = client.transaction().await?;
        act_for(&tx, caller.user_id).await?;
        anyhow::Ok(begin(&tx, &caller.key(fingerprint), &caller.ring, now).await)
    };

    let just_before = begin_at(NOW + KEPT_FOR - time::Duration::MICROSECOND, 1).await?;
    assert_eq!(just_before.ok().flatten(), Some(kept(b"first")));
    assert!(matches!(begin_at(NOW + KEPT_FOR, 2).await?, Ok(None)), "for another request, too");
    Ok(())
}

#[tokio::test]
async fn expired_answers_are_removed_and_others_kept() -> Result<()> {
    let caller = Caller::new().await?;
    let mut client = caller.client().await?;
    let _ = caller.request(&mut client, &caller.key(1), b"first").await?;
    let jobs = caller.db.connect(Role::Jobs).await?;
    assert_eq!(delete_expired(&jobs, NOW + KEPT_FOR - time::Duration::MICROSECOND).await?, 0);
    assert_eq!(delete_expired(&jobs, NOW + KEPT_FOR).await?, 1);
    Ok(())
}
