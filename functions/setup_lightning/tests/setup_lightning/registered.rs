//! A setup on the node its user registered.

use anyhow::Context;
use data_encoding::HEXLOWER;
use serde_json::json;
use shared::crypto::{KeyRing, SealingKeys};
use shared::node;
use shared::random::Random;
use testing::{Call, Result, World};
use time::OffsetDateTime;

use super::{DID, NAME, User, rows, send, step, wire};

/// What the registration of this node would have written, had it an address in the world outside.
async fn register(
    world: &World,
    user: &User,
    (endpoint, certificate): (&str, Option<[u8; 32]>),
) -> Result<()> {
    let ring = world.wire(NAME, |config| config.secret::<SealingKeys, KeyRing>("SEALING_SECRET")).await?;
    let (ring, user_id, macaroon) = (ring.get().await?, user.session.user_id, &user.node.invoice_macaroon);
    let field = node::macaroon_field(&user_id);
    let sealed = ring.seal(field, macaroon.as_bytes(), world.now(), &Random::system());
    let sealed = HEXLOWER.encode(&sealed.map_err(|error| anyhow::anyhow!("{error:?}"))?);
    let certificate =
        certificate.map_or("NULL".into(), |digest| format!("'\\x{}'", HEXLOWER.encode(&digest)));
    let row = format!(
        "INSERT INTO nodes (user_id, did, node_id, pubkey, endpoint, macaroon_sealed, tls_cert_sha256, created_at,
                            updated_at)
         VALUES ('{user_id}', '{DID}', 'node12', '{}', '{endpoint}', '\\x{sealed}', {certificate}, now(), now())",
        user.node.pubkey
    );
    Ok(world.db.admin().await?.batch_execute(&row).await?)
}

fn setup(user: &User) -> Call {
    user.setup(&json!({ "username": "satoshi", "nodeSource": "registered" }))
}

#[tokio::test]
async fn the_users_own_node_is_connected_and_none_is_made() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    register(&world, &user, (&user.node.base_url, None)).await?;
    let deps = wire(&world).await?;
    let answer = send(&deps, &setup(&user)).await?;

    assert_eq!((answer.status.as_u16(), answer.text("/status")?), (200, "fully_configured"), "{answer:?}");
    let names = answer.body["steps"].as_array().context("no steps")?.iter().map(|step| &step["name"]);
    let expected = ["create_store", "connect_node", "create_webhook", "activate"];
    assert!(names.eq(expected.map(|name| json!(name)).iter()), "{answer:?}");
    let has =
        ["hasVoltageNode", "hasBTCPayStore", "hasLightningAddress"].map(|name| answer.body[name] == true);
    assert_eq!(has, [false, true, true]);
    assert!(world.sandbox.voltage().nodes().is_empty());

    let stores = world.sandbox.btcpay().stores();
    let method = stores.first().and_then(|store| store.payment_method.as_ref()).context("not connected")?;
    assert!(method.connection_string.contains(&user.node.base_url), "{method:?}");
    assert!(method.connection_string.to_lowercase().contains(&user.node.invoice_macaroon), "{method:?}");
    let address = format!(
        "lightning_addresses WHERE user_id = '{}' AND node_id = 'node12' AND voltage_node_id IS NULL
         AND btcpay_store_id = '{}'",
        user.session.user_id, stores[0].id
    );
    assert_eq!(rows(&world, &address).await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'macaroon.read'").await?, 1);
    assert_eq!(
        send(&deps, &user.handover()).await?.refusal()?,
        (404, "NOT_FOUND"),
        "its seed is its owner's"
    );
    Ok(())
}

#[tokio::test]
async fn a_node_with_a_certificate_of_its_own_is_connected_by_its_digest() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let tls = world.sandbox.tls();
    let (url, digest) = (format!("{}/alice", tls.base_url()), tls.certificate_sha256());
    register(&world, &user, (&url, Some(digest))).await?;
    let answer = send(&wire(&world).await?, &setup(&user)).await?;
    assert_eq!(answer.text("/status")?, "fully_configured", "{answer:?}");
    let stores = world.sandbox.btcpay().stores();
    let method = stores[0].payment_method.as_ref().context("not connected")?;
    let thumbprint = format!("certthumbprint={}", HEXLOWER.encode(&digest));
    assert!(method.connection_string.to_lowercase().contains(&thumbprint), "{method:?}");
    Ok(())
}

#[tokio::test]
async fn a_node_unregistered_in_the_meantime_fails_the_setup_until_it_is_back() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    register(&world, &user, (&user.node.base_url, None)).await?;
    world.sandbox.btcpay().set_store_quota(Some(0));
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &setup(&user)).await?.text("/status")?, "failed");
    world.sandbox.btcpay().set_store_quota(None);

    let moved = async |at: OffsetDateTime| {
        let client = world.db.admin().await?;
        let moved = node::rebind(&client, user.session.user_id, user.node.pubkey.parse()?, at).await;
        moved.map_err(|error| anyhow::anyhow!("{error:?}"))
    };
    moved(world.now()).await?;
    let answer = send(&deps, &user.retry()).await?;
    assert_eq!(answer.text("/status")?, "failed", "{answer:?}");
    assert_eq!(step(&answer, "connect_node")?["lastErrorCode"], "NODE_NOT_REGISTERED");

    world.db.admin().await?.batch_execute("DELETE FROM nodes").await?;
    register(&world, &user, (&user.node.base_url, None)).await?;
    assert_eq!(send(&deps, &user.retry()).await?.text("/status")?, "fully_configured");
    assert_eq!(world.sandbox.btcpay().stores().len(), 1);
    Ok(())
}
