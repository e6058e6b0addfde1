//! Every code of the list, brought about from outside, each in the one form.

mod accounts;

use std::collections::BTreeSet;

use e2e::owner::new_did;
use e2e::{Answer, Owner, Result, Stack, Tokens, form};
use http::Method;
use sandbox::lnd::NodeOptions;
use sandbox::{Misbehaviour, Route, STRIPE_CONNECT_SECRET, STRIPE_PLATFORM_SECRET, Service, When};
use serde_json::{Value, json};

/// What has been seen, and the one way to see.
#[derive(Default)]
struct Seen(BTreeSet<String>);

impl Seen {
    fn note(&mut self, answer: &Answer, code: &str) -> Result<()> {
        assert_eq!(form::error_code(answer)?, code, "{answer}");
        self.0.insert(code.to_owned());
        Ok(())
    }
}

#[tokio::test]
async fn every_public_error_is_in_the_one_form() -> Result<()> {
    let stack = Stack::start().await?;
    let mut seen = Seen::default();

    at_the_edge(&stack, &mut seen).await?;
    while_signing_in(&stack, &mut seen).await?;
    with_a_session(&stack, &mut seen).await?;
    accounts::errors(&stack, &mut seen).await?;
    with_keys_and_names_of_others(&stack, &mut seen).await?;
    with_an_idempotency_key(&stack, &mut seen).await?;
    of_webhooks(&stack, &mut seen).await?;
    when_we_fail(&stack, &mut seen).await?;
    with_a_setup(&stack, &mut seen).await?;
    let stack = switched_off(stack, &mut seen).await?;

    let missing: Vec<_> =
        form::CODES.iter().map(|(code, _)| *code).filter(|code| !seen.0.contains(*code)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
    stack.stop().await
}

async fn at_the_edge(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let client = &stack.client;
    for path in ["/", "/v1", "/v1/nothing", "/v1/challenges/", "/v1/nodes/a/b", "/v1//health", "/%2e%2e/x"] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::from_bytes(b"BREW")?] {
            seen.note(&client.request(&method, path).send().await?, "NOT_FOUND")?;
        }
    }
    for (method, path, allowed) in [
        (Method::GET, "/v1/challenges", "POST"),
        (Method::PUT, "/v1/challenges/verify", "POST"),
        (Method::DELETE, "/v1/nodes/did:mnemonic:0123456789abcdef", "GET"),
        (Method::POST, "/v1/health", "GET"),
        (Method::PATCH, "/.well-known/jwks.json", "GET"),
    ] {
        let answer = client.request(&method, path).send().await?;
        seen.note(&answer, "METHOD_NOT_ALLOWED")?;
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
    }
    let head = client.request(&Method::HEAD, "/v1/nothing").send().await?;
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert!(!head.request_id().is_empty());

    for path in ["/v1/challenges", "/v1/challenges/verify"] {
        for body in ["", "{", "\u{feff}{}", "{\"did\":\"\u{0}\"}", "[1,2"] {
            seen.note(&client.request(&Method::POST, path).body(body).send().await?, "MALFORMED_REQUEST")?;
        }
        let not_text = client.request(&Method::POST, path).body(vec![0xff, 0xfe, 0x00]);
        seen.note(&not_text.send().await?, "MALFORMED_REQUEST")?;
        for body in ["null", "[]", "\"text\"", "{}", r#"{"data":{}}"#, r#"{"did":5}"#, r#"{"data":[]}"#] {
            let answer = client.request(&Method::POST, path).body(body).send().await?;
            seen.note(&answer, "VALIDATION_FAILED")?;
            assert!(answer.json()?["details"][0]["field"].is_string(), "{answer}");
        }
        let large = format!("{{\"did\":\"{}\"}}", "a".repeat(64 * 1024));
        seen.note(&client.request(&Method::POST, path).body(large).send().await?, "PAYLOAD_TOO_LARGE")?;
    }
    Ok(())
}

async fn while_signing_in(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let (owner, other) = (Owner::new(stack)?, Owner::new(stack)?);
    seen.note(&owner.sign_in_for("mnemonic_login").await?, "NOT_FOUND")?;
    let challenge = owner.challenge("default_registration").await?;
    seen.note(&owner.answer(&challenge, "short").send().await?, "SIGNATURE_REJECTED")?;
    owner.answer(&challenge, &owner.node.sign(&challenge.title)).ok().await?;
    let again = owner.answer(&challenge, &owner.node.sign(&challenge.title)).send().await?;
    seen.note(&again, "CHALLENGE_GONE")?;
    let posing = Owner { node: other.node.clone(), ..owner.clone() };
    seen.note(&posing.sign_in_for("privkey_login").await?, "SIGNATURE_REJECTED")?;
    seen.note(&posing.sign_in_for("default_registration").await?, "DID_ALREADY_BOUND")?;
    let second_name = Owner { did: new_did(), ..owner.clone() };
    seen.note(&second_name.sign_in_for("default_registration").await?, "NODE_ALREADY_BOUND")?;

    let tried = other.challenge("default_registration").await?;
    for _ in 0..10 {
        let wrong = other.answer(&tried, &"y".repeat(104)).send().await?;
        seen.note(&wrong, "SIGNATURE_REJECTED")?;
    }
    let good = other.answer(&tried, &other.node.sign(&tried.title)).send().await?;
    seen.note(&good, "RATE_LIMITED")
}

async fn with_a_session(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let owner = Owner::new(stack)?;
    let tokens = owner.sign_in().await?;
    let with = |token: &str| owner.node_info(&Tokens { access: token.to_owned(), ..tokens.clone() });
    seen.note(&with("").send().await?, "UNAUTHENTICATED")?;
    seen.note(&with(&tokens.access.replace('.', "..")).send().await?, "UNAUTHENTICATED")?;
    seen.note(&with(&e2e::tokens::expired(stack, &tokens.access)?).send().await?, "TOKEN_EXPIRED")?;
    seen.note(&with(&tokens.access).send().await?, "NOT_FOUND")?;

    let admin = stack.admin().await?;
    admin.batch_execute("UPDATE sessions SET node_auth_at = node_auth_at - interval '901 seconds'").await?;
    seen.note(&owner.register(&tokens).send().await?, "STEP_UP_REQUIRED")?;
    admin.batch_execute("UPDATE sessions SET revoked_at = created_at").await?;
    seen.note(&with(&tokens.access).send().await?, "UNAUTHENTICATED")
}

async fn with_keys_and_names_of_others(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let (owner, other) = (Owner::new(stack)?, Owner::new(stack)?);
    let (tokens, others) = (owner.sign_in().await?, other.sign_in().await?);
    other.register(&others).ok().await?;
    let register = |changed: &[(&str, Value)]| {
        let mut body = owner.registration();
        for (field, value) in changed {
            body[*field] = value.clone();
        }
        stack.client.post("/v1/nodes", &body).bearer(&tokens.access).send()
    };
    seen.note(&register(&[("did", json!(new_did()))]).await?, "FORBIDDEN")?;
    seen.note(&register(&[("did", json!(other.did))]).await?, "DID_ALREADY_BOUND")?;
    seen.note(&register(&[("lightning_pubkey", json!(other.node.pubkey))]).await?, "NODE_ALREADY_BOUND")?;
    let place = other.registration();
    let place = ["node_id", "caddy_endpoint"].map(|field| (field, place[field].clone()));
    seen.note(&register(&place).await?, "CONFLICT")?;
    seen.note(
        &register(&[("admin_macaroon", json!(owner.node.admin_macaroon))]).await?,
        "VALIDATION_FAILED",
    )?;
    seen.note(
        &register(&[("caddy_endpoint", json!("https://169.254.169.254/"))]).await?,
        "VALIDATION_FAILED",
    )?;
    seen.note(&other.node_info(&tokens).send().await?, "NOT_FOUND")?;
    let third = stack.sandbox.nodes().create("third", NodeOptions::default())?;
    let stranger = Owner { did: new_did(), ..owner.clone() };
    seen.note(&stranger.ask_to_rebind(&tokens, &third).send().await?, "FORBIDDEN")
}

async fn with_an_idempotency_key(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let owner = Owner::new(stack)?;
    let tokens = owner.sign_in().await?;
    let register = |key: &str| owner.register(&tokens).header("idempotency-key", key);
    let first = register("one").send().await?;
    let second = register("one").send().await?;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!((first.body, second.header("idempotent-replayed")), (second.body.clone(), "true"));
    let mut other = owner.registration();
    other["node_id"] = json!("another");
    let reused = stack.client.post("/v1/nodes", &other).bearer(&tokens.access);
    seen.note(&reused.header("idempotency-key", "one").send().await?, "IDEMPOTENCY_KEY_REUSED")?;

    let mut admin = stack.admin().await?;
    let twin = admin.transaction().await?;
    twin.batch_execute(
        "INSERT INTO idempotency_keys (user_id, route, key, fingerprint, created_at, expires_at)
         SELECT user_id, route, 'two', fingerprint, created_at, expires_at FROM idempotency_keys",
    )
    .await?;
    seen.note(&register("two").send().await?, "IDEMPOTENCY_IN_PROGRESS")?;
    twin.rollback().await?;
    assert_eq!(register("two").send().await?.status, 200);
    Ok(())
}

async fn of_webhooks(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let store = "/v1/webhooks/btcpay/9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776";
    let unsigned = |path: &str| stack.client.post(path, &json!({}));
    for path in ["/v1/webhooks/stripe", "/v1/webhooks/stripe/connect", store] {
        seen.note(&unsigned(path).send().await?, "WEBHOOK_REJECTED")?;
    }
    let anybody = format!("sha256={}", "0".repeat(64));
    seen.note(&unsigned(store).header("btcpay-sig", &anybody).send().await?, "NOT_FOUND")?;
    let large = stack.client.request(&Method::POST, store).body("a".repeat(1024 * 1024 + 1));
    seen.note(&large.send().await?, "PAYLOAD_TOO_LARGE")?;

    let now = stack.sandbox.stripe().now();
    let signed = |path: &str, secret: &str, body: &'static [u8], at: i64| {
        let request = stack.client.request(&Method::POST, path).body(body);
        request.header("stripe-signature", &sandbox::stripe::sign(body, secret, at))
    };
    for (path, own, other) in [
        ("/v1/webhooks/stripe", STRIPE_PLATFORM_SECRET, STRIPE_CONNECT_SECRET),
        ("/v1/webhooks/stripe/connect", STRIPE_CONNECT_SECRET, STRIPE_PLATFORM_SECRET),
    ] {
        seen.note(&signed(path, other, b"{}", now).send().await?, "WEBHOOK_REJECTED")?;
        seen.note(&signed(path, own, b"{}", now - 310).send().await?, "WEBHOOK_REJECTED")?;
        for body in [b"".as_slice(), b"{", b"{}", b"[]", &[0xff, 0xfe]] {
            seen.note(&signed(path, own, body, now).send().await?, "MALFORMED_REQUEST")?;
        }
    }
    Ok(())
}

async fn when_we_fail(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let owner = Owner::new(stack)?;
    let mut admin = stack.admin().await?;
    let locked = admin.transaction().await?;
    locked.batch_execute("LOCK TABLE challenges IN ACCESS EXCLUSIVE MODE").await?;
    seen.note(&owner.ask("qrcode_login").send().await?, "UNAVAILABLE")?;
    locked.rollback().await?;
    admin.batch_execute("ALTER TABLE challenges RENAME TO mislaid").await?;
    let answer = owner.ask("qrcode_login").send().await?;
    seen.note(&answer, "INTERNAL")?;
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(!told.contains("challenges") && !told.contains("relation"), "{told}");
    admin.batch_execute("ALTER TABLE mislaid RENAME TO challenges").await?;
    owner.ask("qrcode_login").ok().await?;
    Ok(())
}

async fn with_a_setup(stack: &Stack, seen: &mut Seen) -> Result<()> {
    let (owner, other) = (Owner::new(stack)?, Owner::new(stack)?);
    let (tokens, elsewhere, others) =
        (owner.sign_in().await?, owner.sign_in().await?, other.sign_in().await?);
    seen.note(&owner.invoice(&tokens, 1_000).send().await?, "NO_STORE")?;
    seen.note(&owner.retry_setup(&tokens).send().await?, "NOT_FOUND")?;
    seen.note(&owner.set_up(&tokens, "satoshi", "registered").send().await?, "NODE_NOT_REGISTERED")?;
    owner.set_up(&tokens, "satoshi", "voltage").ok().await?;
    seen.note(&owner.set_up(&tokens, "hal", "voltage").send().await?, "SETUP_EXISTS")?;
    seen.note(&other.set_up(&others, "satoshi", "voltage").send().await?, "ADDRESS_TAKEN")?;
    owner.take_seed(&tokens).ok().await?;
    seen.note(&owner.take_seed(&elsewhere).send().await?, "SEED_GONE")?;

    let refusing = Misbehaviour::FailBefore { status: 422, body: "[]".to_owned() };
    stack.sandbox.faults().add(Route::service(Service::Btcpay), When::Always, refusing)?;
    seen.note(&owner.invoice(&tokens, 1_000).send().await?, "UPSTREAM_FAILED")?;
    stack.sandbox.faults().clear();
    Ok(())
}

/// What a deployment says that offers less.
async fn switched_off(stack: Stack, seen: &mut Seen) -> Result<Stack> {
    let owner = Owner::new(&stack)?;
    let tokens = owner.sign_in().await?;
    let stack = stack.redeploy(&[("SETUP_ENABLED", "false")]).await?;
    seen.note(&owner.set_up(&tokens, "hal", "voltage").send().await?, "SETUP_DISABLED")?;
    let nobody = [("SETUP_ENABLED", "true"), ("VOLTAGE_SECRET", ""), ("STRIPE_WEBHOOKS_SECRET", "")];
    let stack = stack.redeploy(&nobody).await?;
    seen.note(&owner.set_up(&tokens, "hal", "voltage").send().await?, "PROVIDER_NOT_CONFIGURED")?;
    let event = stack.client.post("/v1/webhooks/stripe", &json!({}));
    seen.note(&event.send().await?, "PROVIDER_NOT_CONFIGURED")?;
    Ok(stack)
}
