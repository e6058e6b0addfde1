//! What is refused, in the one form, with nothing written and nothing of the caller's quoted.

use serde_json::{Value, json};
use testing::{Call, Result, World};

use super::{DID, ROUTE, ask, challenges, send, wire};

const CANARY: &str = "hunter2-canary";

#[tokio::test]
async fn what_is_not_json_is_malformed() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let deep = "[".repeat(200);
    let deep_object = "{\"data\":".repeat(200);
    let bodies: [&[u8]; 14] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"nul",
        b"[1",
        b"{\"did\":}",
        b"{\"did\":\"a\"}{}",
        b"{'did':'a'}",
        b"{\"did\":\"\xff\xfe\"}",
        b"\xef\xbb\xbf{}",
        b"did=did:mnemonic:9f86d081884c7d65",
        deep.as_bytes(),
        deep_object.as_bytes(),
    ];
    for body in bodies {
        let answer = send(&deps, &Call::new(ROUTE).body(body)).await?;
        assert_eq!(answer.refusal()?, (400, "MALFORMED_REQUEST"), "{:?}", String::from_utf8_lossy(body));
    }
    assert_eq!(challenges(&world).await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_is_json_and_no_request_names_its_field() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let of = |did: Value| json!({ "did": did, "challenge_type": "mnemonic_login" });
    let typed = |kind: Value| json!({ "did": DID, "challenge_type": kind });
    let mut cases: Vec<(Value, &str)> = vec![
        (json!([]), ""),
        (json!("text"), ""),
        (json!(1), ""),
        (json!(null), ""),
        (json!({}), ""),
        (json!({ "data": {} }), ""),
        (json!({ "data": [] }), ""),
        (json!({ "data": { "data": of(json!(DID)) } }), ""),
        (json!({ "challenge_type": "mnemonic_login" }), ""),
        (json!({ "did": DID }), ""),
        (json!({ "did": DID, "challenge_type": "mnemonic_login", "challengeType": "mnemonic_login" }), ""),
    ];
    let lightning = format!("did:lightning:{}", super::KEY_1);
    for did in [
        json!(null),
        json!(1),
        json!([DID]),
        json!(""),
        json!("did:"),
        json!("did:web:example.com"),
        json!("DID:mnemonic:9f86d081884c7d65"),
        json!("did:mnemonic:9F86D081884C7D65"),
        json!("did:mnemonic:9f86d081884c7d6"),
        json!("did:mnemonic:9f86d081884c7d655"),
        json!("did:mnemonic:9f86d081884c7d65 "),
        json!("did:mnemonic:9f86d081884c7d65\n"),
        json!(format!("did:mnemonic:{}", "0".repeat(32))),
        json!(format!("did:mnemonic:{}", "0".repeat(63))),
        json!(lightning.to_uppercase()),
        json!(format!("did:lightning:{}", "0".repeat(66))),
        json!(format!("did:lightning:02{}", "f".repeat(64))),
        json!("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"),
        json!(format!("did:mnemonic:{}", "0".repeat(5000))),
        json!("did:mnemonic:９f86d081884c7d65"),
    ] {
        cases.push((of(did), "did"));
    }
    for kind in [json!(null), json!(3), json!(""), json!("login"), json!("MNEMONIC_LOGIN"), json!(["a"])] {
        cases.push((typed(kind), "challenge_type"));
    }
    for (at, (body, field)) in cases.iter().enumerate() {
        let call = Call::new(ROUTE).json(body).from_address(&format!("198.51.100.{at}"));
        let answer = send(&deps, &call).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
        assert_eq!(answer.fields().len(), 1, "{body}: {answer:?}");
        assert!(field.is_empty() || answer.fields() == [*field], "{body}: {answer:?}");
    }
    assert_eq!(challenges(&world).await?, 0);
    assert_eq!(world.db.count("SELECT count(*) FROM rate_limits").await?, 0, "refused before any work");
    Ok(())
}

#[tokio::test]
async fn a_payment_needs_a_possible_amount_and_a_destination_on_one_line() -> Result<()> {
    let world = World::start().await?;
    let limit = [("RATE_LIMIT_SIGN_IN_PER_DID", "1000")];
    let deps = world.wire_with("create_challenge", &limit, create_challenge::Deps::wire).await?;
    let payment = |amount: Value, destination: Value| {
        json!({
            "did": DID,
            "challenge_type": "send_btc_or_internal_account_rebalance",
            "amount_msat": amount,
            "destination": destination,
        })
    };
    let amounts = [
        json!(null),
        json!(0),
        json!(-1),
        json!(1.5),
        json!("1"),
        json!(true),
        json!(2_100_000_000_000_000_001_i64),
        json!(u64::MAX),
        json!(1e30),
    ];
    for amount in amounts {
        let answer = ask(&deps, &payment(amount.clone(), json!("lnbc1"))).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{amount}");
        assert_eq!(answer.fields(), ["amount_msat"], "{amount}");
    }
    let destinations = [
        json!(null),
        json!(7),
        json!(""),
        json!(" "),
        json!("two words"),
        json!("lnbc1\nchallenge: forged"),
        json!("lnbc1\r"),
        json!("lnbc1\u{0}"),
        json!("café"),
        json!("a\u{2028}b"),
        json!("d".repeat(513)),
    ];
    for destination in destinations {
        let answer = ask(&deps, &payment(json!(1), destination.clone())).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{destination}");
        assert_eq!(answer.fields(), ["destination"], "{destination}");
    }
    assert_eq!(challenges(&world).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_refusal_quotes_nothing_the_caller_sent() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let bodies = [
        json!(CANARY),
        json!({ "did": CANARY, "challenge_type": "mnemonic_login" }),
        json!({ "did": { CANARY: 1 }, "challenge_type": "mnemonic_login" }),
        json!({ "did": DID, "challenge_type": CANARY }),
        json!({ "did": DID, "challenge_type": "mnemonic_login", "amount_msat": CANARY }),
        json!({ "did": DID, "challenge_type": "mnemonic_login", "amount_msat": format!("{CANARY}, expected {CANARY}") }),
        json!({ "did": DID, "challenge_type": "mnemonic_login", "new_lightning_pubkey": CANARY }),
        json!({ "did": DID, "challenge_type": "mnemonic_login", "destination": [CANARY] }),
    ];
    for body in bodies {
        let answer = ask(&deps, &body).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
        assert!(!answer.reply.body.contains(CANARY), "{answer:?}");
        assert!(!answer.causes.unwrap_or_default().contains(CANARY), "{body}");
    }
    let cut = Call::new(ROUTE).body(format!("{{\"did\": \"{CANARY}\", {CANARY}"));
    let answer = send(&deps, &cut).await?;
    assert_eq!(answer.refusal()?, (400, "MALFORMED_REQUEST"));
    assert!(!format!("{answer:?}").contains(CANARY), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_body_of_64_kib_is_read_and_one_byte_more_is_not() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let padded = |size: usize| {
        let bare = json!({ "did": DID, "challenge_type": "mnemonic_login", "pad": "" }).to_string();
        bare.replace("\"pad\":\"\"", &format!("\"pad\":\"{}\"", "x".repeat(size - bare.len())))
    };
    let largest = Call::new(ROUTE).body(padded(65_536));
    assert_eq!(send(&deps, &largest).await?.status, 200);
    let larger = Call::new(ROUTE).body(padded(65_537));
    assert_eq!(send(&deps, &larger).await?.refusal()?, (413, "PAYLOAD_TOO_LARGE"));
    assert_eq!(challenges(&world).await?, 1);
    Ok(())
}
