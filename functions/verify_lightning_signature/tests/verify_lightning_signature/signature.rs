//! Which signatures count.

use testing::{Result, World};

use super::{DID, login, nothing_was_written, registration, rows, send, wire};

/// What is not in the one form, made from what is.
fn forms_of(good: &str) -> Vec<(&'static str, String)> {
    let flipped = |at: usize| {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'y' { b'b' } else { b'y' };
        String::from_utf8_lossy(&bytes).into_owned()
    };
    vec![
        ("empty", String::new()),
        ("one short", good[..103].to_owned()),
        ("one long", format!("{good}y")),
        ("in upper case", good.to_uppercase()),
        ("a symbol zbase32 lacks", format!("{}0", &good[..103])),
        ("a space before", format!(" {}", &good[..103])),
        ("a line break after", format!("{}\n", &good[..103])),
        ("not ASCII", format!("{}é", &good[..102])),
        ("all zero", "y".repeat(104)),
        ("all ones", "9".repeat(104)),
        ("header 27", format!("dc{}", &good[2..])),
        ("header 0", format!("yy{}", &good[2..])),
        ("r changed", flipped(20)),
        ("s changed", flipped(80)),
        ("huge", "y".repeat(50_000)),
    ]
}

#[tokio::test]
async fn no_malformed_signature_counts_whoever_it_names() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let deps = wire(&world).await?;
    for (what, signature) in forms_of(&node.sign("another text")) {
        let given = login(&world, DID).await?;
        let answer = send(&deps, &given.answer(&signature)).await?;
        let (status, code) = answer.refusal()?;
        // A signature that recovers to some key says nothing of an account that is not there.
        let recovers = (status, code) == (404, "NOT_FOUND") && what.ends_with("changed");
        assert!(recovers || (status, code) == (401, "SIGNATURE_REJECTED"), "{what}: {answer:?}");
    }
    nothing_was_written(&world).await
}

#[tokio::test]
async fn no_malformed_signature_registers_a_name() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let deps = wire(&world).await?;
    for (what, signature) in forms_of(&node.sign("another text")) {
        if what.ends_with("changed") {
            continue;
        }
        let answer = send(&deps, &registration(&world, DID).await?.answer(&signature)).await?;
        assert_eq!(answer.refusal()?, (401, "SIGNATURE_REJECTED"), "{what}");
    }
    nothing_was_written(&world).await
}

#[tokio::test]
async fn only_the_key_on_record_over_this_very_text_signs_in() -> Result<()> {
    let world = World::start().await?;
    let (node, stranger) = (world.node("alice")?, world.node("mallory")?);
    world.sign_in(DID, &node.pubkey).await?;
    let deps = wire(&world).await?;
    let (given, other) = (login(&world, DID).await?, login(&world, DID).await?);
    let wrong = [
        ("another node's", stranger.sign(&given.text)),
        ("over another challenge", node.sign(&other.text)),
        ("over the text and a line break", node.sign(format!("{}\n", given.text))),
        ("over its lines ended as on Windows", node.sign(given.text.replace('\n', "\r\n"))),
        ("over the nonce alone", node.sign(given.id.to_string())),
        ("over nothing", node.sign("")),
    ];
    for (what, signature) in wrong {
        let answer = send(&deps, &given.answer(&signature)).await?;
        assert_eq!(answer.refusal()?, (401, "SIGNATURE_REJECTED"), "{what}");
    }
    assert_eq!(rows(&world, "sessions").await?, 1);
    assert_eq!(rows(&world, "challenges WHERE wrong_answers = 6").await?, 1);
    Ok(())
}

#[tokio::test]
async fn whether_a_did_has_an_account_shows_only_to_a_key() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let given = login(&world, DID).await?;
    assert_eq!(send(&deps, &given.answer("no signature")).await?.refusal()?, (401, "SIGNATURE_REJECTED"));
    let signed = given.signed(&world.node("alice")?);
    assert_eq!(send(&deps, &signed).await?.refusal()?, (404, "NOT_FOUND"));
    nothing_was_written(&world).await
}

#[tokio::test]
async fn a_did_made_of_a_key_is_signed_for_by_that_key() -> Result<()> {
    let world = World::start().await?;
    let (node, stranger) = (super::node_of_key_1(&world)?, world.node("mallory")?);
    let deps = wire(&world).await?;
    // Both are made of the public key of the secret key 1.
    let names = [format!("did:lightning:{}", node.pubkey), String::from(DID_KEY_1)];
    for did in &names {
        for given in [registration(&world, did).await?, login(&world, did).await?] {
            let answer = send(&deps, &given.signed(&stranger)).await?;
            assert_eq!(answer.refusal()?, (401, "SIGNATURE_REJECTED"), "{did}");
        }
    }
    nothing_was_written(&world).await?;
    for did in &names {
        let answer = send(&deps, &registration(&world, did).await?.signed(&node)).await?;
        assert_eq!(answer.status, 200, "{did}: {answer:?}");
    }
    assert_eq!(rows(&world, "users").await?, 1, "two names of one key are one account");
    Ok(())
}

/// `did:key` of secp256k1's generator: base58btc of e7 01 and the compressed point.
const DID_KEY_1: &str = "did:key:zQ3shVc2UkAfJCdc1TR8E66J85h48P43r93q8jGPkPpjF9Ef9";
