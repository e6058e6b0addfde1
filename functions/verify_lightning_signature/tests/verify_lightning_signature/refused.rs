//! What is refused before any challenge is looked at.

use serde_json::{Value, json};
use testing::{Call, Result, World};

use super::{DID, ROUTE, nothing_was_written, send, wire};

#[tokio::test]
async fn what_is_not_json_is_malformed() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    for body in [&b""[..], b"{", b"nul", b"\xff", b"did=1&signature=2", b"{\"a\":1}x"] {
        let answer = send(&deps, &Call::new(ROUTE).body(body)).await?;
        assert_eq!(answer.refusal()?, (400, "MALFORMED_REQUEST"), "{body:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_answer_names_its_field() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let id = json!("019ba2a0-b600-7a5a-9a5a-5a5a5a5a5a5a");
    let of = |did: &Value, id: &Value, signature: &Value| json!({ "did": did, "challenge_id": id, "signature": signature });
    let (did, signature) = (json!(DID), json!("y".repeat(104)));
    let mut cases = vec![
        (json!([]), None),
        (json!(null), None),
        (json!({}), None),
        (json!({ "data": { "did": DID } }), None),
        (json!({ "did": DID, "challenge_id": id }), None),
        (json!({ "did": DID, "signature": signature }), None),
        (json!({ "challenge_id": id, "signature": signature }), None),
    ];
    for wrong in [json!(null), json!(1), json!({}), json!("did:web:a"), json!("x".repeat(9000))] {
        cases.push((of(&wrong, &id, &signature), Some("did")));
    }
    for wrong in [json!(null), json!(1), json!(""), json!("one"), json!("019ba2a0"), json!("x".repeat(9000))]
    {
        cases.push((of(&did, &wrong, &signature), Some("challenge_id")));
    }
    for wrong in [json!(null), json!(1), json!(["y"]), json!({ "r": 1 }), json!(true)] {
        cases.push((of(&did, &id, &wrong), Some("signature")));
    }
    for (body, field) in cases {
        let answer = send(&deps, &Call::new(ROUTE).json(&body)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
        assert!(field.is_none_or(|field| answer.fields() == [field]), "{body}: {answer:?}");
    }
    nothing_was_written(&world).await
}

#[tokio::test]
async fn a_refusal_quotes_nothing_the_caller_sent() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let canary = "hunter2-canary";
    for field in ["did", "challenge_id", "signature"] {
        for value in [json!(canary), json!([canary]), json!({ canary: canary })] {
            let mut body = json!({ "did": DID, "challenge_id": uuid::Uuid::nil(), "signature": "s" });
            body[field] = value;
            let answer = send(&deps, &Call::new(ROUTE).json(&body)).await?;
            assert_ne!(answer.status, 200);
            assert!(!format!("{answer:?}").contains(canary), "{answer:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_body_over_64_kib_is_too_large() -> Result<()> {
    let world = World::start().await?;
    let call = Call::new(ROUTE).body(format!("{{\"did\":\"{}\"}}", "x".repeat(65_536)));
    assert_eq!(send(&wire(&world).await?, &call).await?.refusal()?, (413, "PAYLOAD_TOO_LARGE"));
    Ok(())
}
