//! Which macaroons are kept, how, and where they never show.

use std::sync::Arc;

use anyhow::Context;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use register_individual_node::Deps;
use serde_json::Value;
use shared::crypto::{KeyRing, OpenError, SealingKeys};
use shared::node;
use testing::{Result, World};

use super::{DID, NAME, Owner, nothing_was_written, rows, send, wire};

const READ_ALL: &[(&str, &str)] = &[("info", "read"), ("onchain", "read"), ("offchain", "write")];

async fn ring(world: &World) -> Result<Arc<KeyRing>> {
    let ring = world.wire(NAME, |config| config.secret::<SealingKeys, KeyRing>("SEALING_SECRET")).await?;
    Ok(ring.get().await?)
}

/// What stands in the one row of `nodes`.
async fn sealed(world: &World) -> Result<Vec<u8>> {
    let row = world.db.admin().await?.query_typed("SELECT macaroon_sealed FROM nodes", &[]).await?;
    Ok(row.first().context("no node")?.get(0))
}

/// The same, opened with the world's own ring.
async fn opened(world: &World, owner: &Owner) -> Result<String> {
    let field = node::macaroon_field(&owner.user.user_id);
    let opened = ring(world).await?.open(field, &sealed(world).await?)?;
    Ok(String::from_utf8(opened.expose().clone())?)
}

#[tokio::test]
async fn a_narrow_macaroon_is_kept_as_hex_and_sealed() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let hex = owner.node.invoice_macaroon.clone();
    let bytes = HEXLOWER.decode(hex.as_bytes())?;
    let forms = [hex.clone(), hex.to_uppercase(), BASE64.encode(&bytes), BASE64URL_NOPAD.encode(&bytes)];
    for form in forms {
        let answer = send(&deps, &owner.call(&owner.with("admin_macaroon", form.as_str()))).await?;
        assert_eq!(answer.status, 200, "{form}: {answer:?}");
        assert_eq!(opened(&world, &owner).await?, hex, "{form}");
        assert!(!answer.reply.body.contains(&form) && !answer.reply.body.contains(&hex));
    }
    let admin = world.db.admin().await?;
    for table in ["nodes", "audit_logs", "idempotency_keys"] {
        let query = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t");
        let text: String = admin.query_typed(&query, &[]).await?[0].get(0);
        assert!(!text.contains(&hex) && !text.contains(&hex[20..80]), "{table} holds the macaroon");
    }
    Ok(())
}

#[tokio::test]
async fn an_update_that_brings_no_macaroon_leaves_the_earlier_one() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, &[("MACAROON_TOO_WIDE", "discard")], Deps::wire).await?;
    let narrow = owner.node.invoice_macaroon.clone();
    let wide = owner.node.bake(READ_ALL)?;
    let with = |macaroon: Value| owner.call(&owner.with("admin_macaroon", macaroon));
    for call in [
        with(narrow.as_str().into()),
        owner.call(&owner.with("node_id", "node13")),
        with(Value::Null),
        with(wide.into()),
    ] {
        assert_eq!(send(&deps, &call).await?.status, 200);
        assert_eq!(opened(&world, &owner).await?, narrow);
    }
    let newer = owner.node.bake(&[("invoices", "read"), ("uri", "/lnrpc.Lightning/AddInvoice")])?;
    assert_eq!(send(&deps, &with(newer.as_str().into())).await?.status, 200);
    assert_eq!(opened(&world, &owner).await?, newer);
    Ok(())
}

#[tokio::test]
async fn what_is_sealed_differs_each_time_and_opens_in_its_own_row_alone() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let call = owner.call(&owner.with("admin_macaroon", owner.node.invoice_macaroon.as_str()));
    assert_eq!(send(&deps, &call).await?.status, 200);
    let first = sealed(&world).await?;
    assert_eq!(send(&deps, &call).await?.status, 200);
    let second = sealed(&world).await?;
    assert_ne!(first, second);

    let ring = ring(&world).await?;
    assert!(ring.open(node::macaroon_field(&owner.user.user_id), &first).is_ok());
    let elsewhere = ring.open(node::macaroon_field(&owner.user.session_id), &first);
    assert_eq!(elsewhere.err(), Some(OpenError::Refused));
    let plain = owner.node.invoice_macaroon.as_bytes();
    assert!(!first.windows(16).any(|window| plain.windows(16).any(|part| part == window)));
    Ok(())
}

#[tokio::test]
async fn a_macaroon_too_wide_is_refused_with_how_to_bake_a_narrow_one() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let wide = owner.node.bake(READ_ALL)?;
    let answer = send(&deps, &owner.call(&owner.with("admin_macaroon", wide.as_str()))).await?;
    assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"));
    assert_eq!(answer.fields(), ["admin_macaroon"]);
    let told = answer.text("/details/0/message")?;
    assert!(told.contains("lncli bakemacaroon uri:/lnrpc.Lightning/GetInfo"), "{told}");
    assert!(!format!("{answer:?}").contains(&wide));
    nothing_was_written(&world).await
}

#[tokio::test]
async fn a_macaroon_too_wide_is_discarded_where_configured_and_the_answer_says_so() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, &[("MACAROON_TOO_WIDE", "discard")], Deps::wire).await?;
    let wide = owner.node.bake(READ_ALL)?;
    let answer = send(&deps, &owner.call(&owner.with("admin_macaroon", wide.as_str()))).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/message")?, "node registered; the macaroon allowed too much and was not kept");
    assert_eq!(rows(&world, "nodes WHERE macaroon_sealed IS NULL").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_macaroon_that_signs_is_refused_whatever_the_configuration() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let signing: [&[(&str, &str)]; 5] = [
        &[("message", "write")],
        &[("info", "read"), ("macaroon", "generate")],
        &[("signer", "generate"), ("signer", "read")],
        &[("uri", "/lnrpc.Lightning/SignMessage")],
        &[("uri", "/signrpc.Signer/SignMessage")],
    ];
    let mut macaroons = vec![owner.node.admin_macaroon.clone()];
    for ops in signing {
        macaroons.push(owner.node.bake(ops)?);
    }
    for configured in ["refuse", "discard"] {
        let deps = world.wire_with(NAME, &[("MACAROON_TOO_WIDE", configured)], Deps::wire).await?;
        for macaroon in &macaroons {
            let answer = send(&deps, &owner.call(&owner.with("admin_macaroon", macaroon.as_str()))).await?;
            assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{configured}");
            assert_eq!(answer.fields(), ["admin_macaroon"]);
            assert!(!format!("{answer:?}").contains(macaroon.as_str()));
        }
    }
    nothing_was_written(&world).await
}

#[tokio::test]
async fn what_is_no_macaroon_is_refused_and_not_quoted() -> Result<()> {
    let world = World::start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let good = &owner.node.invoice_macaroon;
    let cut = &good[..good.len() - 10];
    let padded = format!("{good}00");
    let long = "02".repeat(5_000);
    for macaroon in ["canary-macaroon", "", "0201", cut, &padded, &long, "ff00ff00ff00"] {
        let answer = send(&deps, &owner.call(&owner.with("admin_macaroon", macaroon))).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{macaroon}");
        assert_eq!(answer.fields(), ["admin_macaroon"], "{macaroon}");
        assert!(macaroon.is_empty() || !format!("{answer:?}").contains(macaroon));
    }
    nothing_was_written(&world).await
}
