//! Locks that outlive a transaction: one holder at a time, and none that does not know it is over.
//!
//! `SATCHEL_FULL=1` pauses a thousand holders instead of a hundred.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use shared::db::commit;
use shared::db::roles::Role;
use shared::lock::{self, Held, LockError, Name};
use shared::random::Random;
use testing::{Result, TestDb};
use tokio_postgres::Client;

use crate::number;

const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(20);
const PAUSE: Duration = Duration::from_millis(40);

/// A database with a table of what was written under locks.
async fn database() -> Result<TestDb> {
    let db = TestDb::create().await?;
    db.admin()
        .await?
        .batch_execute("CREATE TABLE written (token bigint NOT NULL); GRANT INSERT ON written TO satchel_api")
        .await?;
    Ok(db)
}

async fn acquire(client: &Client, name: &Name, ttl: Duration) -> Result<Held> {
    Ok(lock::acquire(client, name, ttl, &Random::system()).await?)
}

/// What work under a lock looks like: behind the fence, in its transaction.
async fn write(client: &mut Client, held: &Held) -> Result<bool> {
    let tx = client.transaction().await?;
    match lock::fence(&tx, held).await {
        Ok(()) => {}
        Err(LockError::Lost) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    tx.batch_execute(&format!("INSERT INTO written VALUES ({})", held.token())).await?;
    commit(tx).await?;
    Ok(true)
}

#[tokio::test]
async fn a_holder_paused_until_after_its_end_writes_nothing() -> Result<()> {
    let db = &database().await?;
    let times: usize = if std::env::var_os("SATCHEL_FULL").is_some() { 1_000 } else { 100 };
    let one = async |nth: usize| -> Result<(bool, bool)> {
        let (mut paused, mut other) = (db.connect(Role::Api).await?, db.connect(Role::Api).await?);
        let name = Name::new("test", &nth.to_string());
        let old = acquire(&paused, &name, SHORT).await?;
        tokio::time::sleep(PAUSE).await;
        // Every other time nobody has taken it meanwhile, and it is over all the same.
        let successor = if nth.is_multiple_of(2) {
            let new = acquire(&other, &name, LONG).await?;
            assert!(new.token() > old.token());
            write(&mut other, &new).await?
        } else {
            false
        };
        Ok((write(&mut paused, &old).await?, successor))
    };
    let ends: Vec<_> = stream::iter(0..times).map(one).buffer_unordered(8).try_collect().await?;
    assert_eq!(ends.iter().filter(|(paused, _)| *paused).count(), 0);
    assert_eq!(ends.iter().filter(|(_, successor)| *successor).count(), times / 2);
    assert_eq!(number(&db.admin().await?, "SELECT count(*) FROM written").await?, i64::try_from(times / 2)?);
    Ok(())
}

#[tokio::test]
async fn a_holder_paused_within_its_transaction_is_still_the_only_one() -> Result<()> {
    let db = database().await?;
    let (mut holder, other) = (db.connect(Role::Api).await?, db.connect(Role::Api).await?);
    let name = Name::new("test", "one");
    let held = acquire(&holder, &name, Duration::from_millis(300)).await?;
    let tx = holder.transaction().await?;
    lock::fence(&tx, &held).await?;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let (committed, next) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            tx.batch_execute("INSERT INTO written VALUES (1)").await?;
            commit(tx).await?;
            Ok::<_, anyhow::Error>(())
        },
        async {
            let next = acquire(&other, &name, LONG).await?;
            Ok::<_, anyhow::Error>((next, number(&other, "SELECT 1::bigint").await?))
        },
    );
    committed?;
    assert!(next?.0.token() > held.token());
    assert_eq!(number(&db.admin().await?, "SELECT count(*) FROM written").await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_fifty_contenders_one_holds_it_at_a_time() -> Result<()> {
    let db = &database().await?;
    let (inside, most) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    let contend = async |_| -> Result<i64> {
        let mut client = db.connect(Role::Api).await?;
        let held = loop {
            // Fifty in a row may take longer than one is ready to wait.
            match lock::acquire(&client, &Name::new("test", "one"), LONG, &Random::system()).await {
                Err(LockError::Busy) => {}
                other => break other?,
            }
        };
        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        assert!(write(&mut client, &held).await?);
        inside.fetch_sub(1, Ordering::SeqCst);
        let token = held.token();
        lock::release(&client, held).await?;
        Ok(token)
    };
    let tokens: Vec<i64> = stream::iter(0..50).map(contend).buffer_unordered(50).try_collect().await?;
    assert_eq!((tokens.len(), most.load(Ordering::SeqCst)), (50, 1));
    let distinct: std::collections::BTreeSet<_> = tokens.iter().collect();
    assert_eq!(distinct.len(), 50);
    Ok(())
}

#[tokio::test]
async fn a_row_cleaned_away_never_hands_out_an_older_token() -> Result<()> {
    let db = database().await?;
    let (client, admin) = (db.connect(Role::Api).await?, db.admin().await?);
    let name = Name::new("test", "one");
    let mut last = 0;
    for _ in 0..20 {
        let held = acquire(&client, &name, LONG).await?;
        assert!(held.token() > last, "{} after {last}", held.token());
        last = held.token();
        lock::release(&client, held).await?;
        admin.batch_execute("DELETE FROM distributed_locks").await?;
    }
    // A clock that was set back: the row knows better.
    let held = acquire(&client, &name, LONG).await?;
    lock::release(&client, held).await?;
    admin.batch_execute("UPDATE distributed_locks SET token = 9000000000000000000").await?;
    assert_eq!(acquire(&client, &name, LONG).await?.token(), 9_000_000_000_000_000_001);
    Ok(())
}

#[tokio::test]
async fn locks_are_cleaned_away_an_hour_after_their_end() -> Result<()> {
    let db = database().await?;
    let client = db.connect(Role::Api).await?;
    for name in ["old", "new", "held"] {
        let held = acquire(&client, &Name::new("test", name), LONG).await?;
        if name != "held" {
            lock::release(&client, held).await?;
        }
    }
    let admin = db.admin().await?;
    let aged = "UPDATE distributed_locks SET expires_at = expires_at - interval '61 minutes'
                WHERE name = (SELECT name FROM distributed_locks ORDER BY token LIMIT 1)";
    admin.batch_execute(aged).await?;
    let jobs = db.connect(Role::Jobs).await?;
    assert_eq!((lock::delete_expired(&jobs).await?, lock::delete_expired(&jobs).await?), (1, 0));
    assert_eq!(number(&admin, "SELECT count(*) FROM distributed_locks").await?, 2);
    Ok(())
}

#[tokio::test]
async fn who_lost_a_lock_does_not_release_its_successor_s() -> Result<()> {
    let db = database().await?;
    let (client, other) = (db.connect(Role::Api).await?, db.connect(Role::Api).await?);
    let name = Name::new("test", "one");
    let old = acquire(&client, &name, SHORT).await?;
    tokio::time::sleep(PAUSE).await;
    let _held = acquire(&other, &name, LONG).await?;
    lock::release(&client, old).await?;
    assert!(lock::try_acquire(&client, &name, LONG).await?.is_none());
    Ok(())
}
