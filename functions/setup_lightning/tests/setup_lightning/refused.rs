//! What begins no setup, and calls nobody.

use serde_json::{Value, json};
use setup_lightning::Deps;
use testing::{Call, Result, World};
use time::Duration;

use super::{DID, NAME, OTHER_DID, ROUTE, User, calls, one_of_each, rows, satoshi, send, wire};

async fn nothing_was_begun(world: &World) -> Result<()> {
    for table in ["lightning_setups", "lightning_setup_log", "lightning_addresses", "audit_logs"] {
        assert_eq!(rows(world, table).await?, 0, "{table}");
    }
    assert_eq!(calls(world), 0);
    Ok(())
}

#[tokio::test]
async fn what_is_not_json_is_malformed_and_what_is_too_large_is_too_large() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    for body in [&b""[..], b"{", b"\xff\xff", b"username=satoshi"] {
        let answer = send(&deps, &user.call(ROUTE).body(body)).await?;
        assert_eq!(answer.refusal()?, (400, "MALFORMED_REQUEST"), "{body:?}");
    }
    let large = user.setup(&json!({ "username": "satoshi", "pad": "x".repeat(65_536) }));
    assert_eq!(send(&deps, &large).await?.refusal()?, (413, "PAYLOAD_TOO_LARGE"));
    for body in [json!([]), json!("satoshi"), json!({}), json!({ "data": { "username": "satoshi" } })] {
        let answer = send(&deps, &user.setup(&body)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
    }
    nothing_was_begun(&world).await
}

#[tokio::test]
async fn names_lud_16_does_not_allow_are_refused_by_field_and_not_quoted() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, &[("RATE_LIMIT_SETUPS_PER_USER", "1000")], Deps::wire).await?;
    let long = "x".repeat(65);
    let names = [
        "", ".", "..", "Satoshi", "a b", "a+b", "a@b", "ä", "a/b", "a\n", "a\u{0}", "'; --", "canary!", &long,
    ];
    let addresses = [
        "",
        "satoshi",
        "@pay.example.com",
        "satoshi@",
        "satoshi@elsewhere.example.com",
        "satoshi@pay.example.com.",
        "Satoshi@pay.example.com",
        "canary!@pay.example.com",
        "a@b@pay.example.com",
        &format!("{long}@pay.example.com"),
    ];
    let of = |field: &str, value: Value| {
        let mut body = satoshi();
        body[field] = value;
        (field.to_owned(), body)
    };
    let mut cases: Vec<(String, Value)> = names.map(|name| of("username", json!(name))).into();
    cases.extend(addresses.map(|address| of("lightningAddress", json!(address))));
    cases.extend(["lnbits", "Voltage", "", "canary"].map(|source| of("nodeSource", json!(source))));
    cases.extend([json!(null), json!(1), json!(["canary"]), json!({})].map(|value| of("username", value)));
    for field in ["lightningAddress", "nodeSource"] {
        cases.extend([json!(1), json!(["canary"]), json!({}), json!(true)].map(|value| of(field, value)));
    }
    for (field, body) in cases {
        let answer = send(&deps, &user.setup(&body)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
        assert_eq!(answer.fields(), [field], "{body}: {answer:?}");
        assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
    }
    nothing_was_begun(&world).await
}

#[tokio::test]
async fn names_lud_16_allows_get_a_setup() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let longest = "x".repeat(64);
    for (at, name) in ["a", "0", "a-b_c.d", "-", &longest].into_iter().enumerate() {
        let user = User::new(&world, &format!("did:mnemonic:{at:016x}"), &format!("node{at}")).await?;
        let answer = send(&deps, &user.setup(&json!({ "username": name }))).await?;
        assert_eq!(answer.text("/lightningAddress")?, format!("{name}@pay.example.com"), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_address_is_one_accounts_whatever_its_state() -> Result<()> {
    let world = World::start().await?;
    let (alice, bob) = (User::new(&world, DID, "alice").await?, User::new(&world, OTHER_DID, "bob").await?);
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &alice.setup(&satoshi())).await?.status, 200);
    let called = calls(&world);
    let admin = world.db.admin().await?;
    let taken = [
        satoshi(),
        json!({ "username": "bob", "lightningAddress": "satoshi@pay.example.com" }),
        json!({ "username": "bob", "lightningAddress": "satoshi@Pay.Example.Com" }),
    ];
    for state in ["finished", "running", "failed"] {
        admin.batch_execute(&format!("UPDATE lightning_setups SET state = '{state}'")).await?;
        for body in &taken {
            let answer = send(&deps, &bob.setup(body)).await?;
            assert_eq!(answer.refusal()?, (409, "ADDRESS_TAKEN"), "{state} {body}");
            assert!(!answer.reply.body.contains(&alice.session.user_id.to_string()), "{answer:?}");
        }
    }
    assert_eq!((calls(&world), rows(&world, "lightning_setups").await?), (called, 1));

    let own = json!({ "username": "satoshi", "lightningAddress": "bob@pay.example.com" });
    let answer = send(&deps, &bob.setup(&own)).await?;
    assert_eq!(answer.status, 200, "a user name may be anybody's, an address may not: {answer:?}");
    Ok(())
}

#[tokio::test]
async fn an_account_has_one_setup_and_another_is_a_conflict() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &user.setup(&satoshi())).await?.status, 200);
    for body in [
        json!({ "username": "hal" }),
        json!({ "username": "satoshi", "lightningAddress": "hal@pay.example.com" }),
        json!({ "username": "hal", "lightningAddress": "satoshi@pay.example.com" }),
        json!({ "username": "satoshi", "nodeSource": "registered" }),
    ] {
        let answer = send(&deps, &user.setup(&body)).await?;
        assert_eq!(answer.refusal()?, (409, "SETUP_EXISTS"), "{body}");
    }
    one_of_each(&world).await?;

    world.db.admin().await?.batch_execute("UPDATE lightning_setups SET state = 'undone'").await?;
    world.db.admin().await?.batch_execute("DELETE FROM lightning_addresses").await?;
    let answer = send(&deps, &user.setup(&json!({ "username": "hal" }))).await?;
    assert_eq!(
        answer.text("/lightningAddress")?,
        "hal@pay.example.com",
        "what was undone is in nobody's way"
    );
    Ok(())
}

#[tokio::test]
async fn a_setup_on_the_users_own_node_needs_one_registered_with_address_and_macaroon() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let body = json!({ "username": "satoshi", "nodeSource": "registered" });
    let refused = async || -> Result<()> {
        let answer = send(&deps, &user.setup(&body)).await?;
        assert_eq!(answer.refusal()?, (409, "NODE_NOT_REGISTERED"));
        nothing_was_begun(&world).await
    };
    refused().await?;
    let registered = format!(
        "INSERT INTO nodes (user_id, did, node_id, pubkey, endpoint, created_at, updated_at)
         VALUES ('{}', '{DID}', 'node12', '{}', 'https://nodes.example.com', now(), now())",
        user.session.user_id, user.node.pubkey
    );
    let admin = world.db.admin().await?;
    admin.batch_execute(&registered).await?;
    refused().await?;
    admin.batch_execute("UPDATE nodes SET endpoint = NULL, macaroon_sealed = 'sealed'").await?;
    refused().await?;
    let others = User::new(&world, OTHER_DID, "bob").await?.session.user_id;
    let moved = format!("UPDATE nodes SET endpoint = 'https://nodes.example.com', user_id = '{others}'");
    admin.batch_execute(&moved).await?;
    refused().await
}

#[tokio::test]
async fn without_a_provider_nothing_begins_that_needs_it() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let (btcpay, voltage) =
        ([("BTCPAY_URL", ""), ("BTCPAY_SECRET", "")], [("VOLTAGE_URL", ""), ("VOLTAGE_SECRET", "")]);
    for (absent, source, named) in [
        (&btcpay[..], "voltage", "btcpay"),
        (&btcpay, "registered", "btcpay"),
        (&voltage, "voltage", "voltage"),
        (&[btcpay, voltage].concat(), "voltage", "btcpay"),
    ] {
        let deps = world.wire_with(NAME, absent, Deps::wire).await?;
        let answer =
            send(&deps, &user.setup(&json!({ "username": "satoshi", "nodeSource": source }))).await?;
        assert_eq!(answer.refusal()?, (503, "PROVIDER_NOT_CONFIGURED"), "{source}");
        assert!(answer.text("/message")?.starts_with(named), "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("600"));
        let status = send(&deps, &user.status()).await?;
        assert_eq!((status.status.as_u16(), status.text("/status")?), (200, "none"));
    }
    nothing_was_begun(&world).await
}

#[tokio::test]
async fn the_kill_switch_begins_nothing_new() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = world.wire_with(NAME, &[("SETUP_ENABLED", "false")], Deps::wire).await?;
    let answer = send(&deps, &user.setup(&satoshi())).await?;
    assert_eq!(answer.refusal()?, (503, "SETUP_DISABLED"));
    assert_eq!(answer.header("retry-after"), Some("600"));
    let bad = send(&deps, &user.setup(&json!({ "username": "A" }))).await?;
    assert_eq!(bad.refusal()?, (400, "VALIDATION_FAILED"));
    nothing_was_begun(&world).await
}

#[tokio::test]
async fn without_a_standing_session_nothing_happens_at_any_of_the_routes() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let deps = wire(&world).await?;
    let all = || [user.setup(&satoshi()), user.status(), user.retry(), user.handover()];
    for call in all() {
        let route = call.request().route.clone();
        let bare = send(&deps, &Call::new(&route).json(&satoshi())).await?;
        assert_eq!(bare.refusal()?, (401, "UNAUTHENTICATED"), "{route}");
        let forged = send(&deps, &call.clone().bearer("eyJhbGciOiJub25lIn0.e30.")).await?;
        assert_eq!(forged.refusal()?, (401, "UNAUTHENTICATED"), "{route}");
    }
    let admin = world.db.admin().await?;
    admin.batch_execute("UPDATE sessions SET revoked_at = '2026-01-09 12:00Z'").await?;
    for call in all() {
        assert_eq!(send(&deps, &call).await?.refusal()?, (401, "UNAUTHENTICATED"));
    }
    admin.batch_execute("UPDATE sessions SET revoked_at = NULL").await?;
    world.advance(Duration::minutes(30) + Duration::seconds(5));
    for call in all() {
        assert_eq!(send(&deps, &call).await?.refusal()?, (401, "TOKEN_EXPIRED"));
    }
    nothing_was_begun(&world).await
}

#[tokio::test]
async fn a_setup_is_its_owners_alone() -> Result<()> {
    let world = World::start().await?;
    let (alice, bob) = (User::new(&world, DID, "alice").await?, User::new(&world, OTHER_DID, "bob").await?);
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &alice.setup(&satoshi())).await?.status, 200);
    assert_eq!(send(&deps, &bob.status()).await?.text("/status")?, "none");
    for call in [bob.retry(), bob.handover()] {
        assert_eq!(send(&deps, &call).await?.refusal()?, (404, "NOT_FOUND"));
    }
    Ok(())
}

#[tokio::test]
async fn setups_and_retries_are_counted_by_account_and_looking_is_not() -> Result<()> {
    let world = World::start().await?;
    let (alice, bob) = (User::new(&world, DID, "alice").await?, User::new(&world, OTHER_DID, "bob").await?);
    let deps = world.wire_with(NAME, &[("RATE_LIMIT_SETUPS_PER_USER", "3")], Deps::wire).await?;
    world.sandbox.btcpay().set_store_quota(Some(0));
    assert_eq!(send(&deps, &alice.setup(&satoshi())).await?.text("/status")?, "failed");
    send(&deps, &alice.retry()).await?;
    assert_eq!(
        send(&deps, &alice.setup(&json!({ "username": "a b" }))).await?.refusal()?,
        (400, "VALIDATION_FAILED")
    );
    let before = calls(&world);
    for call in [alice.retry(), alice.setup(&satoshi())] {
        let answer = send(&deps, &call).await?;
        assert_eq!(answer.refusal()?, (429, "RATE_LIMITED"));
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!(calls(&world), before, "a provider was called");
    assert_eq!(send(&deps, &alice.status()).await?.status.as_u16(), 200);
    assert_eq!(send(&deps, &bob.retry()).await?.refusal()?, (404, "NOT_FOUND"));
    world.advance(Duration::minutes(1));
    assert_eq!(send(&deps, &alice.retry()).await?.status.as_u16(), 200);
    Ok(())
}
