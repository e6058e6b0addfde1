use std::time::Instant;

use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::{Value, json};
use shared::db::Type;
use shared::db::roles::Role;
use testing::Result;
use time::Duration;

use crate::keys_world::{Keeper, put, seal};
use crate::tool::{Tool, secret_values, today};

const ACCOUNTS: usize = 7;

/// The actions on record for sealing keys, with what they tell, in order.
async fn audited(keeper: &Keeper) -> Result<Vec<(String, String, Value)>> {
    let sql = "SELECT action, resource_id, details FROM audit_logs WHERE resource_type = 'sealing_key'
               ORDER BY created_at";
    let rows = keeper.admin.query_typed(sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

#[tokio::test]
async fn a_key_is_added_everything_moves_and_the_old_key_goes() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    let first = keeper.rotate("all").await?;
    assert!(first.done().contains("added key 2") && first.done().contains("run this again"), "{first:?}");
    assert_eq!(keeper.held()?, [1, 2]);
    assert_eq!(keeper.sealed_by(0).await?, [(1, ACCOUNTS)], "not every function has the new key yet");

    keeper.a_while_later().await?;
    let second = keeper.rotate("all").await?;
    assert!(second.done().contains("the older keys may go at"), "{second:?}");
    for kind in 0..3 {
        assert_eq!(keeper.sealed_by(kind).await?, [(2, ACCOUNTS)]);
    }
    assert_eq!(keeper.held()?, [1, 2], "somebody may have read a value before it was moved");

    keeper.a_while_later().await?;
    let third = keeper.rotate("all").await?;
    assert!(third.done().contains("took out key 1"), "{third:?}");
    assert_eq!(keeper.held()?, [2]);
    for kind in 0..3 {
        assert_eq!(keeper.sealed_by(kind).await?, [(2, ACCOUNTS)]);
    }
    let all = json!([
        "macaroon",
        "refresh-key",
        "stored-reply",
        "wallet",
        "btcpay-config",
        "node-config",
        "webhook-body",
        "mail",
        "push-token"
    ]);
    let started = ("rotation.started".to_owned(), "2".to_owned(), json!({ "purposes": all }));
    let told = json!({ "purposes": all, "resealed": 3 * ACCOUNTS, "retired": [1] });
    let finished = ("rotation.finished".to_owned(), "2".to_owned(), told);
    assert_eq!(audited(&keeper).await?, [started, finished]);
    keeper.tool.run(&["audit", "verify"]).await?.ok();
    for value in secret_values(&keeper.document()?) {
        for ran in [&first, &second, &third] {
            assert!(!ran.stdout.contains(&value) && !ran.stderr.contains(&value), "a key was printed");
        }
    }

    let again = keeper.rotate("all").await?;
    assert!(again.done().contains("added key 3"), "{again:?}");
    Ok(())
}

#[tokio::test]
async fn one_purpose_moves_alone_and_the_old_key_stays_for_the_others() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    keeper.rotate("macaroon").await?.done();
    assert_eq!(keeper.document()?["keys"][1]["purposes"], json!(["macaroon"]));
    keeper.a_while_later().await?;
    let ran = keeper.rotate("macaroon").await?;
    assert!(ran.done().contains("macaroon is sealed with the newest key alone"), "{ran:?}");
    assert_eq!(keeper.held()?, [1, 2]);
    assert_eq!(keeper.sealed_by(0).await?, [(2, ACCOUNTS)]);
    assert_eq!(keeper.sealed_by(1).await?, [(1, ACCOUNTS)]);
    assert_eq!(audited(&keeper).await?.len(), 2);

    for _ in 0..3 {
        keeper.rotate_and_wait().await?;
    }
    assert_eq!(keeper.held()?, [3], "neither is needed any more");
    assert_eq!(keeper.sealed_by(0).await?, [(3, ACCOUNTS)]);
    Ok(())
}

#[tokio::test]
async fn the_tool_waits_by_itself_and_says_for_what() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    keeper.rotate("refresh-key").await?.done();
    let settles_in_two_seconds = today() - Duration::seconds(358);
    keeper.change_keys(|created_at| created_at.min(settles_in_two_seconds))?;

    let started = Instant::now();
    let ran = keeper.tool.run(&["keys", "rotate", "refresh-key"]).await?;

    assert!(ran.done().contains("moved 7 values"), "{ran:?}");
    assert!(started.elapsed() > std::time::Duration::from_millis(900), "it did not wait");
    let counted = ["every function has the new key in 1 s", "every function has the new key in 2 s"];
    assert!(counted.iter().any(|text| ran.stderr.contains(text)), "{ran:?}");
    assert!(ran.stderr.contains("sessions.refresh_key_sealed: 7 of 7, "), "{ran:?}");
    assert_eq!(keeper.sealed_by(1).await?, [(2, ACCOUNTS)]);
    Ok(())
}

#[tokio::test]
async fn a_second_rotation_does_not_begin_before_the_first_has_ended() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    keeper.rotate("macaroon").await?.done();

    let other = keeper.rotate("wallet").await?;
    let said = other.failed();
    assert!(said.contains("macaroon to key 2") && said.contains("`satchel keys rotate macaroon`"), "{said}");
    let all = keeper.rotate("all").await?;
    let said = all.done();
    assert!(said.contains("went on with the rotation of macaroon to key 2"), "{said}");
    assert!(said.contains("run this again for a new key for every purpose"), "{said}");
    assert_eq!(keeper.held()?, [1, 2]);

    let jobs = keeper.world.db.connect(Role::Jobs).await?;
    jobs.query_typed("SELECT pg_advisory_lock(7282438)", &[]).await?;
    let twin = keeper.rotate("macaroon").await?;
    assert!(twin.failed().contains("another rotation is under way"), "{twin:?}");
    drop(jobs);
    keeper.a_while_later().await?;
    keeper.rotate("macaroon").await?.done();
    assert_eq!(keeper.sealed_by(0).await?, [(2, ACCOUNTS)]);
    Ok(())
}

#[tokio::test]
async fn several_at_once_are_one_rotation() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    for held in [&[1, 2][..], &[1, 2], &[2]] {
        let rotate = || keeper.rotate("all");
        let ran = tokio::join!(rotate(), rotate(), rotate(), rotate());
        for ran in [ran.0?, ran.1?, ran.2?, ran.3?] {
            // Whoever comes after the end of it begins the next.
            assert!(ran.code == Some(0) || ran.failed().contains("another rotation is under way"), "{ran:?}");
        }
        let now = keeper.held()?;
        assert!(now == held || (held == [2] && now == [2, 3]), "{now:?}");
        for kind in 0..3 {
            keeper.sealed_by(kind).await?;
        }
        keeper.a_while_later().await?;
    }
    let sql = "SELECT count(*) FROM audit_logs WHERE action = 'rotation.finished' AND resource_id = '2'";
    assert_eq!(keeper.world.db.count(sql).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_value_from_elsewhere_keeps_the_old_key_until_somebody_looked_at_it() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    let (one, other) = (keeper.accounts[2], keeper.accounts[5]);
    let stolen = seal(&keeper.ring()?, 0, other, 1, today())?;
    keeper.put_value(0, one, &stolen).await?;
    keeper.rotate_and_wait().await?;

    for _ in 0..2 {
        let ran = keeper.rotate("all").await?;
        let said = ran.failed();
        let place = format!("1 of nodes.macaroon_sealed (the first: {one})");
        assert!(said.contains("the older keys stay") && said.contains(&place), "{said}");
        keeper.a_while_later().await?;
    }
    assert_eq!(keeper.held()?, [1, 2]);
    assert_eq!(keeper.sealed_by(1).await?, [(2, ACCOUNTS)], "the others were moved all the same");

    keeper.put_value(0, one, &seal(&keeper.ring()?, 0, one, 1, today())?).await?;
    keeper.rotate("all").await?.done();
    assert_eq!(keeper.held()?, [2]);
    Ok(())
}

#[tokio::test]
async fn a_value_written_late_with_the_old_key_moves_too_and_puts_its_end_off() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    let before = keeper.ring()?;
    keeper.rotate_and_wait().await?;
    keeper.rotate_and_wait().await?;
    let account = keeper.accounts[0];
    keeper.put_value(1, account, &seal(&before, 1, account, 9, today())?).await?;

    let ran = keeper.rotate("all").await?;

    assert!(ran.done().contains("the older keys may go at"), "{ran:?}");
    assert_eq!(keeper.held()?, [1, 2]);
    assert_eq!(keeper.sealed_by(1).await?, [(2, ACCOUNTS)]);
    keeper.a_while_later().await?;
    keeper.rotate("all").await?.done();
    assert_eq!(keeper.held()?, [2]);
    Ok(())
}

#[tokio::test]
async fn a_value_written_while_the_tool_waits_is_looked_for_before_the_old_key_goes() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    let before = keeper.ring()?;
    keeper.rotate_and_wait().await?;
    keeper.rotate_and_wait().await?;
    let due_in_three_seconds = "UPDATE reseal_progress SET found_at = now() - interval '297 seconds'";
    keeper.admin.batch_execute(due_in_three_seconds).await?;
    let account = keeper.accounts[0];
    let late = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        keeper.put_value(1, account, &seal(&before, 1, account, 9, today())?).await
    };

    let run =
        tokio::time::timeout(std::time::Duration::from_secs(8), keeper.tool.run(&["keys", "rotate", "all"]));
    let (ran, put) = tokio::join!(run, late);

    put?;
    assert!(ran.is_err(), "it waits for another five minutes: {ran:?}");
    assert_eq!(keeper.held()?, [1, 2]);
    assert_eq!(keeper.sealed_by(1).await?, [(2, ACCOUNTS)]);
    Ok(())
}

#[tokio::test]
async fn whatever_becomes_of_a_write_to_secrets_manager_the_next_run_goes_on() -> Result<()> {
    for misbehave in [Misbehaviour::CloseBefore, Misbehaviour::CloseAfter] {
        let keeper = Keeper::start(ACCOUNTS).await?;
        for purpose in ["adding", "taking out"] {
            let faults = keeper.world.sandbox.faults();
            let writing = Route::service(Service::SecretsManager).path("/PutSecretValue");
            faults.add(writing, When::Always, misbehave.clone())?;
            keeper.rotate("all").await?.failed();
            faults.clear();
            keeper.rotate_and_wait().await?;
            if purpose == "adding" {
                keeper.rotate_and_wait().await?;
            }
        }
        let held = keeper.held()?;
        assert_eq!(held.len(), 1, "{misbehave:?}: {held:?}");
        for kind in 0..3 {
            assert_eq!(keeper.sealed_by(kind).await?, [(held[0], ACCOUNTS)], "{misbehave:?}");
        }
        let actions: Vec<String> = audited(&keeper).await?.into_iter().map(|(action, ..)| action).collect();
        assert_eq!(actions, ["rotation.started", "rotation.finished"], "{misbehave:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_id_of_a_key_that_was_thrown_away_is_not_given_again() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    let before = keeper.document()?;
    keeper.rotate("all").await?.done();
    put(&keeper.world.sandbox, &before);
    keeper.rotate("all").await?.done();
    assert_eq!(keeper.held()?, [1, 3]);
    Ok(())
}

#[tokio::test]
async fn a_key_added_by_hand_is_moved_to_and_what_is_not_understood_is_kept() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    let mut document = keeper.document()?;
    let second = shared::fresh::sealing_key(2, &[], today(), &shared::random::Random::system());
    document["keys"].as_array_mut().unwrap().push(second);
    document["note"] = json!("made by hand");
    put(&keeper.world.sandbox, &document);
    for _ in 0..2 {
        keeper.a_while_later().await?;
        keeper.rotate("all").await?.done();
    }
    assert_eq!(keeper.held()?, [2]);
    assert_eq!(keeper.document()?["note"], "made by hand");
    Ok(())
}

#[tokio::test]
async fn values_are_moved_no_faster_than_asked() -> Result<()> {
    let keeper = Keeper::start(ACCOUNTS).await?;
    keeper.rotate("macaroon").await?.done();
    keeper.a_while_later().await?;
    let started = Instant::now();
    let arguments = ["keys", "rotate", "macaroon", "--no-wait", "--rows-per-second", "4"];
    assert!(keeper.tool.run(&arguments).await?.done().contains("moved 7 values"));
    assert!(started.elapsed() > std::time::Duration::from_millis(1_500), "7 in {:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_rotated_is_said_in_one_line() -> Result<()> {
    let keeper = Keeper::start(1).await?;
    let unknown = keeper.rotate("everything").await?;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("a purpose is one of macaroon, refresh-key"), "{unknown:?}");

    let before = keeper.document()?;
    for document in [json!("hunter2"), json!({ "keys": "hunter2" }), json!({ "keys": [{ "id": "hunter2" }] })]
    {
        put(&keeper.world.sandbox, &document);
        let ran = keeper.rotate("all").await?;
        let said = ran.failed();
        assert!(said.contains("satchel/sealing") && !said.contains("hunter2"), "{said}");
        assert_eq!(keeper.document()?, document);
    }
    put(&keeper.world.sandbox, &before);
    let sql = "SELECT count(*) FROM audit_logs WHERE action = $1";
    let started = keeper.admin.query_typed_one(sql, &[(&"rotation.started", Type::TEXT)]).await?;
    assert_eq!(started.get::<_, i64>(0), 0);
    assert!(Tool::default().run(&["keys", "rotate", "all"]).await?.failed().contains("AWS_REGION"));
    Ok(())
}
