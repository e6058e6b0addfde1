//! The certificate of a node that nobody else vouches for.

use serde_json::{Value, json};
use testing::{Result, World};

use super::{DID, Owner, nothing_was_written, rows, send, wire};

const DIGEST: &str = "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d";

/// What stands in the one row of `nodes`.
async fn stored(world: &World) -> Result<Option<String>> {
    let sql = "SELECT encode(tls_cert_sha256, 'hex') FROM nodes";
    Ok(world.db.admin().await?.query_typed(sql, &[]).await?[0].get(0))
}

#[tokio::test]
async fn its_digest_is_kept_however_it_is_written() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let pairs: Vec<_> = DIGEST.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    let forms = [DIGEST.to_owned(), DIGEST.to_uppercase(), pairs.join(":"), pairs.join(":").to_uppercase()];
    for field in ["tls_cert_sha256", "tlsCertSha256"] {
        for form in &forms {
            world.db.admin().await?.batch_execute("DELETE FROM nodes").await?;
            let answer = send(&deps, &owner.call(&owner.with(field, form.as_str()))).await?;
            assert_eq!(answer.status, 200, "{form}: {answer:?}");
            assert_eq!(stored(&world).await?.as_deref(), Some(DIGEST), "{form}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn it_belongs_to_the_endpoint_and_goes_when_that_is_registered_without_it() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let with = |digest: Value| owner.call(&owner.with("tls_cert_sha256", digest));
    for (call, kept) in [
        (owner.call(&owner.body()), None),
        (with(json!(DIGEST)), Some(DIGEST)),
        (with(json!("00".repeat(32))), Some(&*"00".repeat(32))),
        (with(Value::Null), None),
        (with(json!(DIGEST)), Some(DIGEST)),
        (owner.call(&owner.body()), None),
    ] {
        assert_eq!(send(&deps, &call).await?.status, 200);
        assert_eq!(stored(&world).await?.as_deref(), kept);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_digest_is_refused() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let wrong = [
        json!(""),
        json!("canary"),
        json!(&DIGEST[..62]),
        json!(format!("{DIGEST}00")),
        json!(DIGEST.replace('8', "g")),
        json!(format!(" {DIGEST}")),
        json!(5),
        json!([DIGEST]),
    ];
    for value in wrong {
        let answer = send(&deps, &owner.call(&owner.with("tls_cert_sha256", value.clone()))).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{value}");
        assert_eq!(answer.fields(), ["tls_cert_sha256"], "{value}");
        assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
    }
    assert_eq!(rows(&world, "nodes").await?, 0);
    nothing_was_written(&world).await
}
