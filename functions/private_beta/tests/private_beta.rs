//! `/v1/private-beta`

use std::collections::BTreeSet;

use futures_util::future::join_all;
use private_beta::{Deps, handle};
use serde_json::{Value, json};
use testing::{Call, Outcome, Result, SignedIn, World, binary};

const NAME: &str = "private_beta";
const FOR_ADMINISTRATORS: [&str; 6] = [
    "POST /v1/private-beta/referral",
    "POST /v1/private-beta/referrals",
    "POST /v1/private-beta/referrals/bulk",
    "GET /v1/private-beta/referrals/unused",
    "GET /v1/private-beta/users",
    "GET /v1/private-beta/debug",
];

struct Scene {
    world: World,
    deps: Deps,
    alice: SignedIn,
    admin: SignedIn,
}

impl Scene {
    async fn new() -> Result<Self> {
        let world = World::start().await?;
        let changed = [("RATE_LIMIT_SIGN_IN_PER_ADDRESS", "1000000"), ("DATABASE_POOL_SIZE", "16")];
        let deps = world.wire_with(NAME, &changed, Deps::wire).await?;
        let user = async |name: &str, digit: &str| -> Result<SignedIn> {
            world.sign_in(&format!("did:mnemonic:{}", digit.repeat(16)), &world.node(name)?.pubkey).await
        };
        let (alice, admin) = (user("alice", "0").await?, user("admin", "1").await?);
        let admin = world.make_admin(&admin, &world.node("again")?.pubkey).await?;
        Ok(Self { world, deps, alice, admin })
    }

    async fn send(&self, call: &Call) -> Result<Outcome> {
        Outcome::of(handle(&self.deps, call.request()).await)
    }

    async fn admin(&self, route: &str) -> Result<Outcome> {
        self.send(&Call::new(route).bearer(&self.admin.access_token)).await
    }

    async fn mint(&self) -> Result<String> {
        Ok(self.admin("POST /v1/private-beta/referral").await?.text("/referralKey")?.to_owned())
    }

    async fn bulk(&self, count: &Value, key: &str) -> Result<Outcome> {
        let call = Call::new("POST /v1/private-beta/referrals/bulk").bearer(&self.admin.access_token);
        self.send(&call.header("idempotency-key", key).json(&json!({ "count": count }))).await
    }

    /// What a stranger is told of a key and an e-mail.
    async fn ask(&self, what: &str, key: &str, email: &str) -> Result<Outcome> {
        let call = Call::new(&format!("POST /v1/private-beta/{what}"));
        self.send(&call.json(&json!({ "referralKey": key, "email": email }))).await
    }

    async fn rows(&self, which: &str) -> Result<i64> {
        self.world.db.count(&format!("SELECT count(*) FROM private_beta_users WHERE {which}")).await
    }
}

#[tokio::test]
async fn an_administrator_mints_a_key_that_can_be_read_out() -> Result<()> {
    let scene = Scene::new().await?;
    let event = Call::from_event(NAME)?.bearer(&scene.admin.access_token);
    let answer = scene.send(&event).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    let key = answer.text("/referralKey")?;
    let groups: Vec<&str> = key.split('-').collect();
    assert_eq!(groups.len(), 6);
    assert!(groups.iter().all(|group| group.len() == 4 && group.bytes().all(|c| c.is_ascii_alphanumeric())));
    assert_ne!(scene.admin("POST /v1/private-beta/referrals").await?.text("/referralKey")?, key);
    let minted = "SELECT count(*) FROM audit_logs WHERE action = 'private_beta.minted'";
    assert_eq!(scene.world.db.count(minted).await?, 2);
    Ok(())
}

#[tokio::test]
async fn nobody_else_mints_or_looks() -> Result<()> {
    let scene = Scene::new().await?;
    for route in FOR_ADMINISTRATORS {
        let call = Call::new(route).json(&json!({ "count": 1 }));
        let by_user = scene.send(&call.clone().bearer(&scene.alice.access_token)).await?;
        assert_eq!(by_user.refusal()?, (403, "FORBIDDEN"), "{route}");
        assert_eq!(scene.send(&call).await?.refusal()?, (401, "UNAUTHENTICATED"), "{route}");
    }
    assert_eq!(scene.rows("true").await?, 0);
    Ok(())
}

#[tokio::test]
async fn one_to_a_hundred_are_minted_at_once_and_a_repeat_gets_the_same() -> Result<()> {
    let scene = Scene::new().await?;
    let first = scene.bulk(&json!(100), "one").await?;
    assert_eq!(first.status, 201, "{first:?}");
    let keys = first.body["items"].as_array().into_iter().flatten();
    let keys: BTreeSet<&str> = keys.filter_map(|item| item["referralKey"].as_str()).collect();
    assert_eq!(keys.len(), 100);
    let again = scene.bulk(&json!(100), "one").await?;
    assert_eq!((again.status.as_u16(), &again.body), (201, &first.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(scene.bulk(&json!(99), "one").await?.refusal()?, (422, "IDEMPOTENCY_KEY_REUSED"));
    for bad in [json!(0), json!(101), json!(-1), json!("5"), json!(null), json!(1.5)] {
        let answer = scene.bulk(&bad, "other").await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{bad}");
        assert_eq!(answer.fields(), ["count"]);
    }
    assert_eq!(scene.rows("true").await?, 100);
    Ok(())
}

#[tokio::test]
async fn a_key_lets_one_e_mail_in_and_is_gone_for_others() -> Result<()> {
    let scene = Scene::new().await?;
    let key = scene.mint().await?;
    let valid = async |key: &str| -> Result<Value> {
        Ok(scene.ask("check-validity", key, "ignored").await?.body["valid"].clone())
    };
    assert_eq!(valid(&key).await?, true);
    for spelling in [key.clone(), key.to_lowercase(), key.replace('-', "")] {
        let answer = scene.ask("verify", &spelling, "Alice@Example.com").await?;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &json!({ "verified": true })), "{spelling}");
    }
    assert_eq!(valid(&key).await?, false);
    assert_eq!(scene.ask("verify", &key, "bob@example.com").await?.refusal()?, (410, "REFERRAL_GONE"));
    let unknown = "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA";
    assert_eq!(scene.ask("verify", unknown, "bob@example.com").await?.refusal()?, (410, "REFERRAL_GONE"));
    for (key, email, verified) in [
        (key.as_str(), "alice@example.com", true),
        (&key, "bob@example.com", false),
        (unknown, "alice@example.com", false),
    ] {
        assert_eq!(scene.ask("status", key, email).await?.body, json!({ "verified": verified }), "{email}");
    }
    assert_eq!((valid("nonsense").await?, valid(unknown).await?), (json!(false), json!(false)));
    assert_eq!(scene.rows("email = 'alice@example.com'").await?, 1);
    Ok(())
}

/// Everything a stranger with two keys can ask, about an e-mail that is in and one that is not.
#[tokio::test]
async fn no_answer_tells_whether_an_e_mail_was_in_before() -> Result<()> {
    let scene = Scene::new().await?;
    let own = scene.mint().await?;
    scene.ask("verify", &own, "in@example.com").await?;
    let mut heard = Vec::new();
    for email in ["in@example.com", "out@example.com"] {
        scene.world.advance(time::Duration::seconds(1));
        let key = scene.mint().await?;
        let mut told = Vec::new();
        for what in ["status", "verify", "verify", "status", "check-validity"] {
            let answer = scene.ask(what, &key, email).await?;
            told.push((answer.status, answer.body));
        }
        let other = scene.ask("verify", &key, "third@example.com").await?;
        told.push((other.status, json!(other.error().1)));
        heard.push(told);
    }
    assert_eq!(heard[0], heard[1]);
    // One e-mail counts once, whatever it was told.
    let users = scene.admin("GET /v1/private-beta/users").await?;
    let emails: Vec<_> =
        users.body["items"].as_array().into_iter().flatten().map(|user| &user["email"]).collect();
    assert_eq!(emails, ["out@example.com", "in@example.com"]);
    let counts = scene.admin("GET /v1/private-beta/debug").await?;
    assert_eq!(counts.body, json!({ "keys": 3, "unused": 0, "used": 3, "repeated": 1 }));
    assert!(!counts.reply.body.contains('@'));
    Ok(())
}

#[tokio::test]
async fn of_many_at_once_one_comes_with_a_key_and_one_key_lets_an_e_mail_in() -> Result<()> {
    let scene = Scene::new().await?;
    let key = scene.mint().await?;
    let emails: Vec<String> = (0..30).map(|nth| format!("u{nth}@example.com")).collect();
    let answers = join_all(emails.iter().map(|email| scene.ask("verify", &key, email))).await;
    let answers: Vec<u16> =
        answers.into_iter().map(|answer| Ok(answer?.status.as_u16())).collect::<Result<_>>()?;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|status| **status == 410).count(), 29);

    let keys = join_all((0..20).map(|_| scene.mint())).await.into_iter().collect::<Result<Vec<_>>>()?;
    let answers = join_all(keys.iter().map(|key| scene.ask("verify", key, "one@example.com"))).await;
    for answer in answers {
        assert_eq!(answer?.status, 200);
    }
    assert_eq!(scene.rows("email = 'one@example.com' AND NOT repeated").await?, 1);
    Ok(())
}

#[tokio::test]
async fn unused_keys_are_listed_in_pages() -> Result<()> {
    let scene = Scene::new().await?;
    scene.bulk(&json!(7), "one").await?;
    let used = scene.mint().await?;
    scene.ask("verify", &used, "in@example.com").await?;
    let (mut seen, mut cursor) = (BTreeSet::new(), String::new());
    for _ in 0..4 {
        let call = Call::new("GET /v1/private-beta/referrals/unused").bearer(&scene.admin.access_token);
        let page = scene.send(&call.query(&format!("limit=3{cursor}"))).await?;
        for key in page.body["items"].as_array().into_iter().flatten() {
            assert_eq!(key["email"], json!(null));
            seen.insert(key["referralKey"].as_str().unwrap_or_default().to_owned());
        }
        let Some(next) = page.body["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((seen.len(), seen.contains(&used)), (7, false));
    Ok(())
}

#[tokio::test]
async fn what_is_no_key_or_no_e_mail_is_named() -> Result<()> {
    let scene = Scene::new().await?;
    let key = scene.mint().await?;
    for what in ["verify", "status"] {
        for (key, email, field) in
            [("", "a@b.co", "referralKey"), ("a\u{0}", "a@b.co", "referralKey"), (&key, "nobody", "email")]
        {
            let answer = scene.ask(what, key, email).await?;
            assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{what}");
            assert_eq!(answer.fields(), [field]);
        }
    }
    let nothing = Call::new("POST /v1/private-beta/check-validity").json(&json!({}));
    assert_eq!(scene.send(&nothing).await?.fields(), ["referralKey"]);
    Ok(())
}

#[tokio::test]
async fn strangers_are_counted_by_address() -> Result<()> {
    let scene = Scene::new().await?;
    let changed = [("RATE_LIMIT_SIGN_IN_PER_ADDRESS", "3")];
    let deps = scene.world.wire_with(NAME, &changed, Deps::wire).await?;
    let call = Call::new("POST /v1/private-beta/status")
        .json(&json!({ "referralKey": "A".repeat(24), "email": "a@b.co" }));
    for _ in 0..3 {
        assert_eq!(Outcome::of(handle(&deps, call.request()).await)?.status, 200);
    }
    let over = Outcome::of(handle(&deps, call.request()).await)?;
    assert_eq!(over.refusal()?, (429, "RATE_LIMITED"));
    let elsewhere = call.from_address("198.51.100.1");
    assert_eq!(Outcome::of(handle(&deps, elsewhere.request()).await)?.status, 200);
    Ok(())
}

#[tokio::test]
async fn the_binary_answers_and_logs_neither_key_nor_e_mail() -> Result<()> {
    let scene = Scene::new().await?;
    scene.world.catch_up();
    let admin = scene.world.make_admin(&scene.admin, &scene.world.node("third")?.pubkey).await?;
    let api = scene.world.binary(env!("CARGO_BIN_EXE_private_beta"), NAME).await?;
    let minted = binary::call(&api, &Call::from_event(NAME)?.bearer(&admin.access_token)).await?;
    assert_eq!(minted.status, 201, "{minted:?}");
    let key = minted.text("/referralKey")?;
    let verify = Call::new("POST /v1/private-beta/verify")
        .json(&json!({ "referralKey": key, "email": "canary@example.com" }));
    assert_eq!(binary::call(&api, &verify).await?.status, 200);
    binary::survives_bad_base64(&api, &verify).await?;
    binary::logs_the_request_once(&api, &verify).await?;
    let logs = api.logs().join("\n");
    assert!(!logs.contains("canary") && !logs.contains(key), "{logs}");
    Ok(())
}
