//! The wish for a Lightning setup that comes with a sign-in.

use futures_util::future::join_all;
use sandbox::Service;
use sandbox::lnd::Node;
use serde_json::{Value, json};
use shared::challenge::Purpose;
use testing::{Call, Outcome, Result, World};
use verify_lightning_signature::Deps;

use super::{
    DID, Given, MANY, NAME, OTHER_DID, ROUTE, give, login, nothing_was_written, registration, rows, send,
    wire,
};

/// A good answer to the challenge that brings names along.
fn wishing(given: &Given, node: &Node, names: &Value) -> Call {
    let mut body = json!({ "did": given.did, "challenge_id": given.id, "signature": node.sign(&given.text) });
    for (name, value) in names.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    Call::new(ROUTE).json(&body)
}

fn satoshi() -> Value {
    json!({ "username": "satoshi" })
}

/// What the answer says of the setup, and that it is a session all the same.
fn told(answer: &Outcome) -> Result<&Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!answer.text("/data/accessToken")?.is_empty());
    Ok(&answer.body["data"]["lightning_setup"])
}

async fn wire_with(world: &World, changed: &[(&str, &str)]) -> Result<Deps> {
    world.wire_with(NAME, &[MANY, changed].concat(), Deps::wire).await
}

#[tokio::test]
async fn a_sign_in_with_a_user_name_begins_a_setup_and_calls_nobody() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let given = registration(&world, DID).await?;
    let answer = send(&wire(&world).await?, &wishing(&given, &node, &satoshi())).await?;
    assert_eq!(told(&answer)?, &json!({ "status": "in_progress" }));

    let begun = "lightning_setups WHERE username = 'satoshi' AND address = 'satoshi@pay.example.com'
                 AND node_source = 'voltage' AND state = 'running' AND step = 'create_node'
                 AND due_at = '2026-01-09 12:00Z' AND lease_token = 0 AND user_id = (SELECT id FROM users)";
    assert_eq!(rows(&world, begun).await?, 1);
    assert_eq!(rows(&world, "lightning_setup_log WHERE event = 'begun'").await?, 1);
    assert_eq!(rows(&world, "lightning_setup_steps").await?, 0);
    let actions = "SELECT count(*) FROM (SELECT array_agg(action ORDER BY seq) AS actions FROM audit_logs) a
                   WHERE actions = ARRAY['account.created', 'setup.begun']";
    assert_eq!(world.db.count(actions).await?, 1);
    for service in [Service::Btcpay, Service::Voltage, Service::Lnd] {
        assert_eq!(world.sandbox.calls_to(service, "/"), 0, "{service:?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_user_name_nothing_begins_and_nothing_is_said() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let deps = wire(&world).await?;
    for names in
        [json!({}), json!({ "username": null, "lightning_address": null }), json!({ "nodeSource": "x" })]
    {
        let answer = send(&deps, &wishing(&registration(&world, DID).await?, &node, &names)).await?;
        assert_eq!(told(&answer)?, &Value::Null);
        assert!(!answer.reply.body.contains("lightning_setup"), "{answer:?}");
    }
    assert_eq!(rows(&world, "lightning_setups").await?, 0);
    Ok(())
}

#[tokio::test]
async fn both_spellings_and_both_wrappings_bring_an_address_of_its_own() -> Result<()> {
    let names = |spelling: &str| json!({ "username": "satoshi", spelling: "sat@PAY.example.com" });
    for (spelling, wrapped) in [("lightning_address", false), ("lightningAddress", true)] {
        let world = World::start().await?;
        let (node, given) = (world.node("alice")?, registration(&world, DID).await?);
        let mut call = wishing(&given, &node, &names(spelling));
        if wrapped {
            let bare: Value = serde_json::from_slice(&call.request().body)?;
            call = Call::new(ROUTE).json(&json!({ "data": bare }));
        }
        assert_eq!(told(&send(&wire(&world).await?, &call).await?)?, &json!({ "status": "in_progress" }));
        let begun = "lightning_setups WHERE username = 'satoshi' AND address = 'sat@pay.example.com'";
        assert_eq!(rows(&world, begun).await?, 1, "{spelling}");
    }
    Ok(())
}

#[tokio::test]
async fn names_that_are_not_allowed_are_refused_before_anything() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let deps = wire(&world).await?;
    let given = registration(&world, DID).await?;
    let of = |address: &str| json!({ "username": "satoshi", "lightningAddress": address });
    let cases = [
        (json!({ "username": "Satoshi-canary" }), "username"),
        (json!({ "username": "" }), "username"),
        (json!({ "username": "x".repeat(65) }), "username"),
        (json!({ "username": 7 }), "username"),
        (json!({ "lightningAddress": "satoshi@pay.example.com" }), "username"),
        (of("satoshi@canary.example.com"), "lightning_address"),
        (of("canary"), "lightning_address"),
        (of(""), "lightning_address"),
    ];
    for (names, field) in cases {
        let answer = send(&deps, &wishing(&given, &node, &names)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{names}");
        assert_eq!(answer.fields(), [field], "{names}");
        assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
    }
    nothing_was_written(&world).await?;
    let answer = send(&deps, &wishing(&given, &node, &satoshi())).await?;
    assert_eq!(told(&answer)?, &json!({ "status": "in_progress" }), "the challenge was not spent");
    Ok(())
}

#[tokio::test]
async fn later_sign_ins_with_the_same_names_are_told_how_it_stands() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let deps = wire(&world).await?;
    send(&deps, &wishing(&registration(&world, DID).await?, &node, &satoshi())).await?;
    let admin = world.db.admin().await?;
    let whole = "btcpay_store_id = 's', btcpay_webhook_id = 'w', voltage_node_id = 'n', finished_at = now()";
    let states = [
        ("state = 'running'".into(), json!({ "status": "in_progress" })),
        ("state = 'failed'".into(), json!({ "status": "failed" })),
        (format!("state = 'finished', {whole}"), json!({ "status": "fully_configured" })),
    ];
    for (set, expected) in states {
        admin.batch_execute(&format!("UPDATE lightning_setups SET {set}")).await?;
        let answer = send(&deps, &wishing(&login(&world, DID).await?, &node, &satoshi())).await?;
        assert_eq!(told(&answer)?, &expected);
    }
    assert_eq!(rows(&world, "audit_logs WHERE action = 'setup.begun'").await?, 1);

    let others = json!({ "username": "hal" });
    let answer = send(&deps, &wishing(&login(&world, DID).await?, &node, &others)).await?;
    assert_eq!(told(&answer)?, &json!({ "status": "failed", "error": "SETUP_EXISTS" }));
    admin.batch_execute("UPDATE lightning_setups SET state = 'undone'").await?;
    let answer = send(&deps, &wishing(&login(&world, DID).await?, &node, &others)).await?;
    assert_eq!(told(&answer)?, &json!({ "status": "in_progress" }), "what was undone is in nobody's way");
    Ok(())
}

#[tokio::test]
async fn an_address_that_is_taken_does_not_keep_anybody_from_signing_in() -> Result<()> {
    let world = World::start().await?;
    let (alice, bob) = (world.node("alice")?, world.node("bob")?);
    let deps = wire(&world).await?;
    send(&deps, &wishing(&registration(&world, DID).await?, &alice, &satoshi())).await?;
    let answer = send(&deps, &wishing(&registration(&world, OTHER_DID).await?, &bob, &satoshi())).await?;
    assert_eq!(told(&answer)?, &json!({ "status": "failed", "error": "ADDRESS_TAKEN" }));
    let kept = [("users", 2), ("sessions", 2), ("lightning_setups", 1), ("audit_logs", 3)];
    for (table, count) in kept {
        assert_eq!(rows(&world, table).await?, count, "{table}");
    }
    assert_eq!(rows(&world, "challenges WHERE status = 'confirmed'").await?, 2);
    Ok(())
}

#[tokio::test]
async fn where_none_can_be_had_the_sign_in_stands_and_says_so() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let missing = json!({ "status": "failed", "error": "PROVIDER_NOT_CONFIGURED" });
    for (changed, expected) in [
        (&[("SETUP_ENABLED", "false")][..], json!({ "status": "disabled" })),
        (&[("BTCPAY_ACCOUNT", "")], missing.clone()),
        (&[("VOLTAGE_ACCOUNT", "")], missing),
        (&[("SETUP_ENABLED", "false"), ("VOLTAGE_ACCOUNT", "")], json!({ "status": "disabled" })),
    ] {
        let deps = wire_with(&world, changed).await?;
        let answer = send(&deps, &wishing(&registration(&world, DID).await?, &node, &satoshi())).await?;
        assert_eq!(told(&answer)?, &expected, "{changed:?}");
    }
    assert_eq!(rows(&world, "lightning_setups").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_approval_of_a_payment_begins_nothing() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    world.sign_in(DID, &node.pubkey).await?;
    let purpose = Purpose::StepUp { amount_msat: 2_500_000, destination: String::from("lnbc25u1pvjluez") };
    let given = give(&world, DID, purpose).await?;
    let answer = send(&wire(&world).await?, &wishing(&given, &node, &satoshi())).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text("/data/stepUpToken").is_ok() && !answer.reply.body.contains("lightning_setup"));
    assert_eq!(rows(&world, "lightning_setups").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_refused_sign_in_begins_nothing() -> Result<()> {
    let world = World::start().await?;
    let given = registration(&world, DID).await?;
    world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let answer = send(&wire(&world).await?, &wishing(&given, &world.node("mallory")?, &satoshi())).await?;
    assert_eq!(answer.refusal()?, (409, "DID_ALREADY_BOUND"));
    assert_eq!(rows(&world, "lightning_setups").await?, 0);
    Ok(())
}

#[tokio::test]
async fn many_sign_ins_at_once_begin_one_setup_and_all_are_sessions() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    world.sign_in(DID, &node.pubkey).await?;
    let deps = wire_with(&world, &[("DATABASE_POOL_SIZE", "10")]).await?;
    let mut calls = Vec::new();
    for _ in 0..10 {
        calls.push(wishing(&login(&world, DID).await?, &node, &satoshi()));
    }
    let answers = join_all(calls.iter().map(|call| send(&deps, call))).await;
    for answer in answers {
        assert_eq!(told(&answer?)?, &json!({ "status": "in_progress" }));
    }
    let counts = [("lightning_setups", 1), ("sessions", 11), ("audit_logs WHERE action = 'setup.begun'", 1)];
    for (table, count) in counts {
        assert_eq!(rows(&world, table).await?, count, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn of_two_accounts_that_wish_for_one_address_at_once_one_gets_it_and_both_are_signed_in() -> Result<()>
{
    let world = World::start().await?;
    let deps = wire_with(&world, &[("DATABASE_POOL_SIZE", "2")]).await?;
    let (alice, bob) = (world.node("alice")?, world.node("bob")?);
    let calls = [
        wishing(&registration(&world, DID).await?, &alice, &satoshi()),
        wishing(&registration(&world, OTHER_DID).await?, &bob, &satoshi()),
    ];
    let answers = join_all(calls.iter().map(|call| send(&deps, call))).await;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    let taken =
        answers.iter().filter(|answer| answer.body["data"]["lightning_setup"]["error"] == "ADDRESS_TAKEN");
    assert_eq!(taken.count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!((rows(&world, "sessions").await?, rows(&world, "lightning_setups").await?), (2, 1));
    Ok(())
}
