//! Known secrets in every input and every configuration value, looked for in all that comes out.

mod accounts;
mod canary;
mod corpus;
mod inputs;
mod payers;
mod payments;
mod setups;
mod wallets;

use std::collections::BTreeMap;
use std::time::Duration;

use canary::Canaries;
use corpus::Corpus;
use data_encoding::{BASE64, HEXLOWER};
use e2e::client::text;
use e2e::{Owner, Result, Stack, StackOptions, Tokens};
use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::{Value, json};
use shared::fresh::{self, SigningAlgorithm};
use shared::random::Random;
use testing::deployment;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_seen_in_any_log_answer_or_readable_column() -> Result<()> {
    let (mut canaries, mut corpus) = (Canaries::default(), Corpus::default());
    let stack = Stack::start_with(full_of_secrets(&mut canaries)?).await?;
    configured(&stack, &mut canaries)?;
    let owner = Owner::new(&stack)?;
    let tokens = sign_in_and_register(&stack, &owner, &mut canaries, &mut corpus).await?;

    let mut requests = inputs::fields(&stack, &owner, &tokens, &mut canaries);
    requests.extend(inputs::around(&stack, &owner, &tokens, &mut canaries));
    for (name, request) in requests {
        let answer = request.send().await?;
        assert!(answer.status < 500, "{name}: {answer}");
        corpus.answer(&name, &answer);
    }
    for (function, event) in inputs::events(&mut canaries) {
        let _ = stack.gateway.invoke(function, event).await;
    }
    when_things_fail(&stack, &owner, &mut corpus).await?;
    accounts::live(&stack, &mut canaries, &mut corpus).await?;

    tokio::time::sleep(Duration::from_millis(500)).await;
    corpus.log(&stack.log);
    corpus.database(&stack).await?;
    println!(
        "{} canaries; {} answers, {} lines, {} values",
        canaries.len(),
        corpus.count("answer"),
        corpus.count("log"),
        corpus.count("column")
    );
    assert!(canaries.len() >= 50, "{} canaries", canaries.len());
    assert!(corpus.count("answer") > 100 && corpus.count("log") > 100 && corpus.count("column") > 100);
    assert!(
        corpus.count("column nodes.macaroon_sealed") == 1
            && corpus.count("column idempotency_keys.reply_sealed") == 1
    );
    let leaks = corpus.leaks(&canaries);
    assert!(leaks.is_empty(), "{} leaks\n{}", leaks.len(), leaks.join("\n"));
    stack.stop().await
}

#[tokio::test]
async fn a_function_that_refuses_its_configuration_names_no_value() -> Result<()> {
    let mut canaries = Canaries::default();
    let mut environment = BTreeMap::new();
    for name in [
        "APP_DOMAIN",
        "ISSUER_URL",
        "CHALLENGE_TTL_SECONDS",
        "ACCESS_TTL_SECONDS",
        "DATABASE_POOL_SIZE",
        "RATE_LIMIT_SIGN_IN_PER_DID",
        "STRIPE_LIVEMODE",
        "MACAROON_TOO_WIDE",
        "ALLOW_HTTP_NODE_ENDPOINTS",
        "LOG_LEVEL",
        "AWS_SECRET_ACCESS_KEY",
    ] {
        environment.insert(name.to_owned(), format!("Value {}", canaries.plant(name)));
    }
    let mut secrets = BTreeMap::new();
    for name in [
        "database/auth",
        "database/api",
        "database/webhooks",
        "signing",
        "sealing",
        "audit",
        "btcpay",
        "stripe-webhooks",
    ] {
        let secret = canaries.plant(name);
        let keys = json!([{"id": secret, "kid": secret, "alg": secret, "created_at": secret, "key": secret, "private_key": secret}]);
        secrets.insert(
            format!("satchel/{name}"),
            json!({"keys": keys, "key": secret, "host": secret, "port": secret, "password": secret,
                "api_key": [secret], "platform": [secret], "connect": [secret]}),
        );
    }
    let options = StackOptions { environment, secrets, ..StackOptions::default() };
    let stack = Stack::start_without_waiting(options).await?;

    let refused = stack.gateway.ready().await.expect_err("none of it is usable").to_string();
    let mut corpus = Corpus::default();
    corpus.log(&stack.log);
    for function in
        ["create_challenge", "verify_lightning_signature", "register_individual_node", "stripe_webhook"]
    {
        assert!(refused.contains(function), "{refused}");
    }
    for named in [
        "CHALLENGE_TTL_SECONDS",
        "ISSUER_URL",
        "SEALING_SECRET",
        "AUDIT_SECRET",
        "SIGNING_SECRET",
        "DATABASE_SECRET",
        "STRIPE_LIVEMODE",
        "STRIPE_WEBHOOKS_SECRET",
    ] {
        assert!(refused.contains(named), "{named} is not named: {refused}");
    }
    assert_eq!(canaries.in_text(&refused).count(), 0, "{refused}");
    let leaks = corpus.leaks(&canaries);
    assert!(leaks.is_empty(), "{} leaks\n{}", leaks.len(), leaks.join("\n"));
    stack.stop().await
}

/// Configuration made of canaries, at the most talkative log level.
fn full_of_secrets(canaries: &mut Canaries) -> Result<StackOptions> {
    let random = Random::system();
    let mut key = |name: &str| {
        let key: [u8; 32] = random.bytes();
        canaries.bytes(name, &key);
        BASE64.encode(&key)
    };
    let (sealing, audit, marker) = (key("sealing key"), key("audit key"), key("marker key"));
    let firebase = fresh::signing_key(SigningAlgorithm::Rs256).map_err(|_| anyhow::anyhow!("no key"))?;
    let firebase = text(&firebase, "/private_key")?.to_owned();
    private_key("firebase key", &firebase, canaries)?;
    let secrets = BTreeMap::from([
        (
            "satchel/sealing".to_owned(),
            json!({"keys": [{"id": 1, "created_at": "2020-01-01T00:00:00Z", "key": sealing}]}),
        ),
        ("satchel/audit".to_owned(), json!({"key": audit})),
        ("satchel/marker".to_owned(), json!({"key": marker})),
        ("satchel/btcpay".to_owned(), json!({"api_key": canaries.plant("key to BTCPay")})),
        ("satchel/voltage".to_owned(), json!({"api_key": canaries.plant("key to Voltage")})),
        ("satchel/firebase".to_owned(), json!({"client_email": "app@example.com", "private_key": firebase})),
    ]);
    let environment = [
        ("AWS_ACCESS_KEY_ID", "anybody".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", canaries.plant("AWS secret access key")),
        ("AWS_SESSION_TOKEN", canaries.plant("AWS session token")),
        ("FIREBASE_SECRET", "satchel/firebase".to_owned()),
        ("LOG_LEVEL", "trace".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
    Ok(StackOptions { secrets, environment, ..StackOptions::default() })
}

/// Secrets that every stack has.
fn configured(stack: &Stack, canaries: &mut Canaries) -> Result<()> {
    for (role, password) in &stack.db.passwords {
        canaries.text(&format!("password of {}", role.name()), password.expose());
    }
    let (btcpay, voltage) = (stack.sandbox.btcpay(), stack.sandbox.voltage());
    btcpay.add_key(&provider_key(stack, "btcpay")?, &["unrestricted"])?;
    voltage.accept_key(&provider_key(stack, "voltage")?);
    assert!(btcpay.revoke_key(deployment::BTCPAY_KEY) && voltage.revoke_key(deployment::VOLTAGE_KEY));
    let signing = document(stack, "satchel/signing")?;
    private_key("signing key", text(&signing, "/keys/0/private_key")?, canaries)
}

fn provider_key(stack: &Stack, provider: &str) -> Result<String> {
    Ok(text(&document(stack, &format!("satchel/{provider}"))?, "/api_key")?.to_owned())
}

fn document(stack: &Stack, name: &str) -> Result<Value> {
    Ok(serde_json::from_str(&stack.sandbox.secrets().get(name).unwrap_or_default())?)
}

/// The end of a key in PEM is private; its beginning is the public modulus.
fn private_key(name: &str, pem: &str, canaries: &mut Canaries) -> Result<()> {
    let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64.decode(lines.concat().as_bytes())?;
    canaries.bytes(name, &der[der.len() - 48..]);
    canaries.text(&format!("a line of the {name}"), lines[lines.len() - 2]);
    Ok(())
}

/// All goes well, and everything issued or handed over on the way is a canary from then on.
async fn sign_in_and_register(
    stack: &Stack,
    owner: &Owner,
    canaries: &mut Canaries,
    corpus: &mut Corpus,
) -> Result<Tokens> {
    let challenge = owner.challenge("default_registration").await?;
    let signature = owner.node.sign(&challenge.title);
    canaries.text("a signature", &signature);
    let agent = canaries.plant("user agent of a sign-in");
    let answer = owner.answer(&challenge, &signature).header("user-agent", &agent).send().await?;
    let tokens = Tokens::read(&answer.json()?)?;
    let last = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
    canaries.text("access token", &last(&tokens.access));
    canaries.text("refresh token", &tokens.refresh);
    canaries.text("firebase token", &last(text(&answer.json()?, "/data/customToken")?));
    corpus.answer("the sign-in", &answer);

    for (name, macaroon) in
        [("macaroon", &owner.node.invoice_macaroon), ("admin macaroon", &owner.node.admin_macaroon)]
    {
        let bytes = HEXLOWER.decode(macaroon.as_bytes())?;
        canaries.bytes(name, &bytes[bytes.len() - 32..]);
    }
    let mut wide = owner.registration();
    wide["admin_macaroon"] = json!(owner.node.admin_macaroon);
    corpus.answer(
        "a macaroon too wide",
        &stack.client.post("/v1/nodes", &wide).bearer(&tokens.access).send().await?,
    );
    let key = canaries.plant("idempotency key");
    for _ in 0..2 {
        let answer = owner.register(&tokens).header("idempotency-key", &key).send().await?;
        assert_eq!(answer.status, 200, "{answer}");
        corpus.answer("the registration", &answer);
    }
    corpus.answer("the node's data", &owner.node_info(&tokens).send().await?);
    Ok(tokens)
}

/// What went wrong is logged, and must be told without the values it went wrong with.
async fn when_things_fail(stack: &Stack, owner: &Owner, corpus: &mut Corpus) -> Result<()> {
    let admin = stack.admin().await?;
    let challenge = owner.challenge("mnemonic_login").await?;
    admin.batch_execute("ALTER TABLE sessions RENAME TO mislaid").await?;
    let answer = owner.answer(&challenge, &owner.node.sign(&challenge.title)).send().await?;
    assert_eq!(answer.status, 500);
    corpus.answer("a sign-in without its table", &answer);
    admin.batch_execute("ALTER TABLE mislaid RENAME TO sessions").await?;

    for (way, misbehave) in [
        ("cut", Misbehaviour::CutBody { bytes: 300 }),
        ("garbage", Misbehaviour::Garbage),
        ("failing", Misbehaviour::FailAfter { status: 500, body: "{}".to_owned() }),
        ("closing", Misbehaviour::CloseAfter),
    ] {
        stack.sandbox.faults().add(Route::service(Service::SecretsManager), When::Always, misbehave)?;
        stack.kill_all().await?;
        let answer = owner.ask("mnemonic_login").send().await?;
        assert_eq!(answer.status, 503, "{way}: {answer}");
        corpus.answer(&format!("secrets {way}"), &answer);
        stack.sandbox.faults().clear();
    }
    owner.challenge("mnemonic_login").await?;
    Ok(())
}
