//! Bodies that register nothing.

use register_individual_node::Deps;
use serde_json::{Value, json};
use testing::{Result, World};

use super::{DID, NAME, Owner, nothing_was_written, send, wire};

#[tokio::test]
async fn what_is_not_json_is_malformed_and_what_is_too_large_is_too_large() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    for body in [&b""[..], b"{", b"\xff\xff", b"node_id=1"] {
        let call = owner.call(&json!({})).body(body);
        assert_eq!(send(&deps, &call).await?.refusal()?, (400, "MALFORMED_REQUEST"), "{body:?}");
    }
    let large = owner.call(&owner.with("pad", "x".repeat(65_536)));
    assert_eq!(send(&deps, &large).await?.refusal()?, (413, "PAYLOAD_TOO_LARGE"));
    nothing_was_written(&world).await
}

#[tokio::test]
async fn each_field_is_checked_and_named() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let wrong: [(&str, Vec<Value>); 5] = [
        ("did", vec![json!(null), json!(1), json!("did:web:a"), json!("x".repeat(2_000))]),
        (
            "node_id",
            vec![
                json!(null),
                json!(1),
                json!(""),
                json!("a b"),
                json!("é"),
                json!("a/b"),
                json!("n".repeat(65)),
            ],
        ),
        ("lightning_pubkey", vec![json!(null), json!(""), json!("02"), json!("0".repeat(66)), json!([1])]),
        (
            "caddy_endpoint",
            vec![
                json!(null),
                json!(5),
                json!(""),
                json!("nodes.example.com"),
                json!("http://nodes.example.com/node12"),
                json!("https://127.0.0.1/node12"),
                json!("https://localhost/node12"),
                json!("https://169.254.169.254/latest/meta-data"),
                json!("https://[::1]/"),
                json!("https://10.0.0.8/"),
                json!("https://user:canary@nodes.example.com/"),
                json!(format!("https://nodes.example.com/{}", "x".repeat(600))),
            ],
        ),
        ("admin_macaroon", vec![json!(1), json!({}), json!([])]),
    ];
    for (field, values) in wrong {
        for value in values {
            let answer = send(&deps, &owner.call(&owner.with(field, value.clone()))).await?;
            assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{field} {value}");
            assert_eq!(answer.fields(), [field], "{field} {value}: {answer:?}");
            assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
        }
    }
    for field in ["did", "node_id", "lightning_pubkey", "caddy_endpoint"] {
        let mut body = owner.body();
        body.as_object_mut().into_iter().for_each(|fields| {
            fields.remove(field);
        });
        let answer = send(&deps, &owner.call(&body)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{field}");
        assert!(answer.reply.body.contains(field), "{field}: {answer:?}");
    }
    nothing_was_written(&world).await
}

#[tokio::test]
async fn http_endpoints_are_taken_only_where_configured() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, &[("ALLOW_HTTP_NODE_ENDPOINTS", "true")], Deps::wire).await?;
    let body = owner.with("caddy_endpoint", "http://nodes.example.com/node12");
    assert_eq!(send(&deps, &owner.call(&body)).await?.status, 200);
    let metadata = owner.with("caddy_endpoint", "http://169.254.169.254/");
    assert_eq!(send(&deps, &owner.call(&metadata)).await?.refusal()?, (400, "VALIDATION_FAILED"));
    Ok(())
}
