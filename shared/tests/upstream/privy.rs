//! Privy's tokens: whose they are, and which key they are checked with.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Context;
use sandbox::privy::{PrivyPerson, PrivyTokens};
use sandbox::{Misbehaviour, PRIVY_APP_ID, Route, Service, When};
use serde_json::json;
use shared::privy::{Privy, PrivyError, PrivyUser, PrivyWallet, Why};
use shared::upstream::Upstream;
use testing::Result;
use time::OffsetDateTime;

use crate::ground::{Ground, IMPATIENT, problems};
use crate::server::{Reply, Server};

pub const NOW: i64 = 1_900_000_000;
const PATH: &str = "/privy/v1/apps/";
const MINUTE: i64 = 60;

/// A Privy whose keys are fetched, and the time as a test has it.
pub struct Scene {
    pub ground: Ground,
    pub privy: Privy,
    now: Arc<AtomicI64>,
}

impl Scene {
    pub async fn new() -> Result<Self> {
        Self::of(Ground::new().await?, &json!({ "app_id": PRIVY_APP_ID })).await
    }

    /// With the app's key in the secret, and nowhere to fetch one from.
    pub async fn with_key(key: impl FnOnce(String) -> String) -> Result<Self> {
        let ground = Ground::new().await?;
        let pem = key(ground.sandbox.privy().verification_key());
        ground.sandbox.faults().add(
            Route::service(Service::Privy),
            When::Always,
            Misbehaviour::CloseBefore,
        )?;
        Self::of(ground, &json!({ "app_id": PRIVY_APP_ID, "verification_key": pem })).await
    }

    pub async fn of(ground: Ground, document: &serde_json::Value) -> Result<Self> {
        ground.sandbox.secrets().put("satchel/privy", &document.to_string());
        let url = ground.sandbox.privy().url();
        let ground = ground.with("PRIVY_SECRET", "satchel/privy").with("PRIVY_URL", &url);
        let privy = wired(&ground).await?;
        Ok(Self { ground, privy, now: Arc::new(AtomicI64::new(NOW)) })
    }

    pub fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Of somebody who signs in at this moment.
    pub fn tokens(&self, person: &PrivyPerson) -> PrivyTokens {
        self.ground.sandbox.privy().tokens_at(person, self.now.load(Ordering::Relaxed))
    }

    pub async fn verify(&self, access: &str, identity: Option<&str>) -> Result<PrivyUser, PrivyError> {
        let now = OffsetDateTime::from_unix_timestamp(self.now.load(Ordering::Relaxed));
        let now = now.map_err(|error| PrivyError::Unavailable(error.to_string()))?;
        self.privy.verify(access, identity, now).await
    }

    /// What is wrong with an access token.
    pub async fn why(&self, access: &str) -> Option<Why> {
        why(&self.verify(access, None).await)
    }

    pub fn fetches(&self) -> u64 {
        self.ground.sandbox.calls_to(Service::Privy, PATH)
    }
}

pub fn why(outcome: &Result<PrivyUser, PrivyError>) -> Option<Why> {
    match outcome {
        Err(PrivyError::Refused(refusal)) => Some(refusal.why),
        _ => None,
    }
}

pub fn alice() -> PrivyPerson {
    PrivyPerson::new("alice").email("alice@example.com").wallet("0xabc")
}

async fn wired(ground: &Ground) -> Result<Privy> {
    let mut config = ground.config();
    let upstream = Upstream::wire(&mut config);
    let privy = Privy::wire(&mut config, &upstream).context("no Privy")?;
    config.finish().await?;
    Ok(privy)
}

#[tokio::test]
async fn an_access_token_says_who_and_an_identity_token_what_is_known_of_them() -> Result<()> {
    let scene = Scene::new().await?;
    let tokens = scene.tokens(&alice());
    let user = scene.verify(&tokens.access, None).await?;
    assert_eq!((user.id.as_str(), user.expires_at.unix_timestamp()), ("did:privy:alice", NOW + 3_600));
    assert!(!user.session_id.is_empty());
    assert_eq!((user.email, user.email_verified, user.wallets), (None, false, Vec::new()));
    let user = scene.verify(&tokens.access, Some(&tokens.identity)).await?;
    assert_eq!((user.email.as_deref(), user.email_verified), (Some("alice@example.com"), true));
    let wallet = PrivyWallet { address: "0xabc".into(), chain: "ethereum".into() };
    assert_eq!(user.wallets, [wallet]);
    Ok(())
}

#[tokio::test]
async fn an_address_that_was_never_proven_is_not_said_to_be() -> Result<()> {
    let scene = Scene::new().await?;
    let privy = scene.ground.sandbox.privy();
    let access = scene.tokens(&alice()).access;
    for (accounts, email, verified) in [
        (json!([{"type": "email", "address": "a@b.example", "lv": null}]), Some("a@b.example"), false),
        (json!([{"type": "email", "address": "a@b.example"}]), Some("a@b.example"), false),
        (json!([{"type": "google_oauth", "email": "a@b.example", "lv": 1}]), None, false),
        (json!([{"type": "email", "address": "a b@b.example", "lv": 1}]), None, false),
        (json!([{"type": "email", "address": 7, "lv": 1}, 5, null, {"type": "wallet"}]), None, false),
        (json!([]), None, false),
    ] {
        let mut claims = privy.identity_claims(&alice(), NOW);
        claims["linked_accounts"] = json!(accounts.to_string());
        let user = scene.verify(&access, Some(&privy.sign(&privy.header(), &claims))).await?;
        assert_eq!((user.email.as_deref(), user.email_verified), (email, verified), "{accounts}");
        assert!(user.wallets.is_empty(), "{accounts}");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_in_the_secret_is_used_and_nobody_is_asked() -> Result<()> {
    for written in [|pem: String| pem, |pem: String| pem.replace('\n', "\\n"), |pem| format!("\n{pem}\n")] {
        let scene = Scene::with_key(written).await?;
        let tokens = scene.tokens(&alice());
        assert!(scene.verify(&tokens.access, Some(&tokens.identity)).await.is_ok());
        scene.ground.sandbox.privy().rotate();
        assert_eq!(scene.why(&scene.tokens(&alice()).access).await, Some(Why::Signature));
        assert_eq!(scene.fetches(), 0);
    }
    Ok(())
}

#[tokio::test]
async fn published_keys_are_fetched_once_an_hour() -> Result<()> {
    let scene = Scene::new().await?;
    for (passed, fetches) in [(0, 1), (59 * MINUTE, 1), (MINUTE, 2), (MINUTE, 2)] {
        scene.pass(passed);
        scene.verify(&scene.tokens(&alice()).access, None).await?;
        assert_eq!(scene.fetches(), fetches, "after {passed} s");
    }
    Ok(())
}

#[tokio::test]
async fn a_new_key_is_found_at_once_and_an_invented_one_asks_once_in_ten_minutes() -> Result<()> {
    let scene = Scene::new().await?;
    let privy = scene.ground.sandbox.privy();
    scene.verify(&scene.tokens(&alice()).access, None).await?;
    let invented = privy.sign(&json!({"alg": "ES256", "kid": "invented"}), &privy.claims(&alice(), NOW));
    for _ in 0..5 {
        assert_eq!(scene.why(&invented).await, Some(Why::UnknownKey));
    }
    assert_eq!(scene.fetches(), 1, "the keys were fetched a moment ago");
    privy.rotate();
    scene.pass(10 * MINUTE);
    assert!(scene.verify(&scene.tokens(&alice()).access, None).await.is_ok(), "the new key is fetched");
    for _ in 0..5 {
        assert_eq!(scene.why(&invented).await, Some(Why::UnknownKey));
    }
    assert_eq!(scene.fetches(), 2);
    scene.pass(10 * MINUTE);
    for _ in 0..5 {
        assert_eq!(scene.why(&invented).await, Some(Why::UnknownKey));
    }
    assert_eq!(scene.fetches(), 3, "once for all five");
    Ok(())
}

#[tokio::test]
async fn earlier_keys_serve_while_privy_is_away() -> Result<()> {
    let ground = Ground::new().await?.with(IMPATIENT.0, IMPATIENT.1);
    let scene = Scene::of(ground, &json!({ "app_id": PRIVY_APP_ID })).await?;
    let faults = scene.ground.sandbox.faults();
    faults.add(Route::service(Service::Privy), When::Times(1), Misbehaviour::Hang)?;
    let outcome = scene.verify(&scene.tokens(&alice()).access, None).await;
    assert!(matches!(outcome, Err(PrivyError::Unavailable(_))), "{outcome:?}");
    scene.verify(&scene.tokens(&alice()).access, None).await?;
    for misbehave in [Misbehaviour::Hang, Misbehaviour::Garbage, Misbehaviour::CutBody { bytes: 5 }] {
        scene.pass(61 * MINUTE);
        faults.add(Route::service(Service::Privy), When::Times(1), misbehave)?;
        let before = scene.fetches();
        for _ in 0..3 {
            scene.verify(&scene.tokens(&alice()).access, None).await?;
        }
        assert_eq!(scene.fetches(), before + 1, "only the first of them asks");
        scene.pass(31);
        scene.verify(&scene.tokens(&alice()).access, None).await?;
        assert_eq!(scene.fetches(), before + 2, "and half a minute later it is asked again");
    }
    Ok(())
}

#[tokio::test]
async fn only_keys_of_the_right_kind_are_taken_from_a_set() -> Result<()> {
    let ground = Ground::new().await?;
    let privy = ground.sandbox.privy();
    let header = privy.header();
    let token = privy.sign(&header, &privy.claims(&alice(), NOW));
    let octets = json!({"kty": "oct", "k": "c2VjcmV0", "kid": header["kid"], "alg": "HS256"});
    let p384 = json!({"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA", "kid": header["kid"]});
    for set in [json!({"keys": []}), json!({"keys": [octets, p384, 5, {}]}), json!({"keys": 1}), json!([])] {
        let server = Server::start([Reply::json(200, &set.to_string())]).await?;
        ground.sandbox.secrets().put("satchel/privy", &json!({ "app_id": PRIVY_APP_ID }).to_string());
        let mut environment = ground.environment.clone();
        environment.insert("PRIVY_SECRET".into(), "satchel/privy".into());
        environment.insert("PRIVY_URL".into(), server.url.clone());
        let mut config = crate::ground::config(environment);
        let upstream = Upstream::wire(&mut config);
        let asked = Privy::wire(&mut config, &upstream).context("no Privy")?;
        let outcome = asked.verify(&token, None, OffsetDateTime::from_unix_timestamp(NOW)?).await;
        assert!(matches!(outcome, Err(PrivyError::Unavailable(_))), "{set}: {outcome:?}");
        let heard = server.heard();
        assert_eq!(heard[0].line, format!("GET /v1/apps/{PRIVY_APP_ID}/jwks.json"));
        assert_eq!(heard[0].header("privy-app-id"), Some(PRIVY_APP_ID));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_app_is_said_at_start() -> Result<()> {
    let mut config = Ground::new().await?.config();
    let upstream = Upstream::wire(&mut config);
    assert!(Privy::wire(&mut config, &upstream).is_none());
    let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    for (document, expected) in [
        (json!({"app_id": ""}), "has an app_id that is not"),
        (json!({"app_id": "../x"}), "has an app_id that is not"),
        (json!({"app_id": "a", "verification_key": "key"}), "not an EC key in PEM"),
        (json!({"app_id": "a", "verification_key": ed25519}), "not an EC key in PEM"),
        (json!({"verification_key": "key"}), "is not the document expected"),
    ] {
        let ground = Ground::new().await?.with("PRIVY_SECRET", "satchel/privy");
        ground.sandbox.secrets().put("satchel/privy", &document.to_string());
        let mut config = ground.config();
        let upstream = Upstream::wire(&mut config);
        let _ = Privy::wire(&mut config, &upstream);
        let said = problems(config).await?;
        assert!(said.contains(expected), "{document}: {said}");
    }
    Ok(())
}
