//! A log that is not what was written.

use shared::audit::Sealed;
use shared::fresh;
use shared::random::Random;
use testing::{Result, World};

use super::{account, append, counts, heads, run_sql, seal, verify};

/// What somebody with the owner's rights may do to the rows of chain `$`, none of which has a sealed head.
const BEFORE_A_SEAL: [(&str, &str); 9] = [
    ("a row changed", "UPDATE audit_logs SET action = 'test.never' WHERE chain = '$' AND seq = 2"),
    ("its details changed", r#"UPDATE audit_logs SET details = '{"at":9}' WHERE chain = '$' AND seq = 2"#),
    ("its time changed", "UPDATE audit_logs SET created_at = 'infinity' WHERE chain = '$' AND seq = 2"),
    ("its account changed", "UPDATE audit_logs SET user_id = NULL WHERE chain = '$' AND seq = 2"),
    ("a row taken out", "DELETE FROM audit_logs WHERE chain = '$' AND seq = 2"),
    ("the first row taken out", "DELETE FROM audit_logs WHERE chain = '$' AND seq = 1"),
    ("the tail cut off", "DELETE FROM audit_logs WHERE chain = '$' AND seq = 3"),
    (
        "a row put in",
        "INSERT INTO audit_logs SELECT chain, 4, id, user_id, action, resource_type, resource_id, details, ip,
             request_id, created_at, link FROM audit_logs WHERE chain = '$' AND seq = 3;
         UPDATE audit_chains SET count = 4 WHERE chain = '$'",
    ),
    ("the head's link changed", r"UPDATE audit_chains SET link = '\x00' WHERE chain = '$'"),
];

/// The same where the first three of five rows have one.
const AFTER_A_SEAL: [(&str, &str); 5] = [
    ("a later row changed", "UPDATE audit_logs SET request_id = '' WHERE chain = '$' AND seq = 4"),
    ("the sealed row taken out", "DELETE FROM audit_logs WHERE chain = '$' AND seq = 3"),
    ("the sealed row's link changed", r"UPDATE audit_logs SET link = '\x00' WHERE chain = '$' AND seq = 3"),
    ("a head forged", r"UPDATE audit_heads SET seal = '\x00' WHERE chain = '$'"),
    (
        "cut off behind the seal",
        "DELETE FROM audit_logs WHERE chain = '$' AND seq > 2;
         UPDATE audit_chains SET count = 2,
             link = (SELECT link FROM audit_logs WHERE chain = '$' AND seq = 2) WHERE chain = '$'",
    ),
];

async fn spoil(world: &World, number: usize, sql: &str) -> Result<()> {
    run_sql(world, &sql.replace('$', &account(number as u128).to_string())).await
}

#[tokio::test]
async fn a_broken_chain_gets_no_head_and_its_neighbour_is_sealed() -> Result<()> {
    let world = World::start().await?;
    for (at, (_, sql)) in BEFORE_A_SEAL.into_iter().enumerate() {
        append(&world, Some(account(at as u128 + 1)), 3).await?;
        spoil(&world, at + 1, sql).await?;
    }
    let whole = account(BEFORE_A_SEAL.len() as u128 + 1);
    append(&world, Some(whole), 3).await?;

    let found = seal(&world).await?;

    let sealed: Vec<String> = heads(&world).await?.into_iter().map(|(chain, ..)| chain).collect();
    assert_eq!(sealed, [whole.to_string()], "in the order of {BEFORE_A_SEAL:?}");
    assert_eq!(found, Sealed { sealed: 1, broken: 9 });
    Ok(())
}

#[tokio::test]
async fn every_way_of_breaking_what_was_sealed_is_found_and_the_last_head_stays() -> Result<()> {
    let world = World::start().await?;
    for number in 1..=AFTER_A_SEAL.len() {
        append(&world, Some(account(number as u128)), 3).await?;
    }
    seal(&world).await?;
    let before = counts(&world).await?;
    for (at, (_, sql)) in AFTER_A_SEAL.into_iter().enumerate() {
        append(&world, Some(account(at as u128 + 1)), 2).await?;
        spoil(&world, at + 1, sql).await?;
    }

    assert_eq!(seal(&world).await?, Sealed { sealed: 0, broken: 5 });

    assert_eq!(counts(&world).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_broken_chain_is_told_of_every_hour_until_somebody_looks() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 3).await?;
    spoil(&world, 1, BEFORE_A_SEAL[0].1).await?;
    for _ in 0..3 {
        assert_eq!(seal(&world).await?, Sealed { sealed: 0, broken: 1 });
        append(&world, Some(account(1)), 1).await?;
    }
    assert_eq!(verify(&world).await?, Err(format!("chain {}, row 2: is not what was written", account(1))));
    Ok(())
}

#[tokio::test]
async fn under_another_key_nothing_is_sealed() -> Result<()> {
    let world = World::start().await?;
    append(&world, Some(account(1)), 2).await?;
    append(&world, None, 2).await?;
    world.sandbox.secrets().put("satchel/audit", &fresh::audit(&Random::system()).to_string());

    assert_eq!(seal(&world).await?, Sealed { sealed: 0, broken: 2 });

    assert_eq!(heads(&world).await?, []);
    Ok(())
}
