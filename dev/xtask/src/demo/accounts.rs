//! An account with an e-mail address: made, proven, signed in to, held in two tabs, linked to a node and to Discord,
//! and looked after.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, expect_eq, random_hex, text};

const POLL: Duration = Duration::from_millis(200);
/// Mail that is not sent at once is sent by the schedule, within two minutes.
const POLLS: u32 = 600;

/// The whole of it.
pub async fn live(client: &Client, sandbox: &str) -> Result<()> {
    let email = format!("hal.{}@example.com", random_hex::<4>()?);
    let password = format!("{} likes running", random_hex::<4>()?);
    sign_up(client, sandbox, &email, &password).await?;

    client.say("Log in, from a browser.");
    let body = json!({ "email": email, "password": password, "platform": "web", "deviceId": "laptop" });
    let session = client.post("/v1/auth/login", &[], &body, StatusCode::OK).await?;
    let session = two_tabs(client, &session).await?;

    let bearer = format!("Bearer {}", text(&session, "/accessToken")?);
    let account = Account { client, headers: [("authorization", &bearer)], user: text(&session, "/userId")? };
    account.links_a_node(sandbox).await?;
    account.links_discord(sandbox).await?;
    account.looks_after_sessions(&email, &password).await
}

async fn sign_up(client: &Client, sandbox: &str, email: &str, password: &str) -> Result<()> {
    client.say("Register with an e-mail address and a password.");
    let body = json!({ "email": email, "password": password });
    let made = client.post("/v1/auth/register", &[], &body, StatusCode::CREATED).await?;
    let bearer = format!("Bearer {}", text(&made, "/accessToken")?);
    let headers = [("authorization", bearer.as_str())];
    let me = client.send(&Method::GET, "/v1/auth/me", &headers, None, StatusCode::OK).await?;
    ensure!(me["emailVerified"] == false, "nobody has proven the address yet");

    client.say("The mail it was sent, from the sandbox's mailbox.");
    let letter = letter(client, sandbox, email).await?;
    println!("To: {email}\nSubject: {}\n\n{}", text(&letter, "/subject")?, text(&letter, "/text")?);

    client.say("What stands in it proves the address, once.");
    let token = json!({ "token": token_of(text(&letter, "/text")?)? });
    client.post("/v1/auth/email/verify", &[], &token, StatusCode::OK).await?;
    client.post("/v1/auth/email/verify", &[], &token, StatusCode::GONE).await?;
    Ok(())
}

/// Two tabs of one browser find the access token old, both at once.
async fn two_tabs(client: &Client, session: &Value) -> Result<Value> {
    client.say("Two tabs refresh at the same moment with the same token. Neither is signed out: both get the next one.");
    let body = json!({ "refreshToken": text(session, "/refreshToken")? });
    let tab = || client.answer(&Method::POST, "/v1/auth/refresh", &[], Some(&body));
    let (one, other) = tokio::try_join!(tab(), tab())?;
    for answer in [&one, &other] {
        ensure!(answer.status == StatusCode::OK, "a tab was answered {}", answer.status);
    }
    let (one, other) = (one.json()?, other.json()?);
    expect_eq(&other, "/refreshToken", text(&one, "/refreshToken")?)?;
    println!("both tabs hold the same refresh token");
    Ok(one)
}

/// Somebody who is signed in.
struct Account<'a> {
    client: &'a Client,
    headers: [(&'a str, &'a str); 1],
    user: &'a str,
}

impl Account<'_> {
    async fn links_a_node(&self, sandbox: &str) -> Result<()> {
        let client = self.client;
        client.say("Link a node to the account: its key signs a text that names it.");
        let name = json!({ "name": format!("node{}", random_hex::<4>()?) });
        let node = client.post(&format!("{sandbox}/sandbox/nodes"), &[], &name, StatusCode::CREATED).await?;
        let (did, pubkey) = (format!("did:mnemonic:{}", random_hex::<32>()?), text(&node, "/pubkey")?);
        let asked = json!({ "did": did, "challengeType": "node_link", "newLightningPubkey": pubkey });
        let challenge = client.post("/v1/challenges", &self.headers, &asked, StatusCode::OK).await?;
        let sign = format!("{}/v1/signmessage", text(&node, "/base_url")?);
        let macaroon = [("grpc-metadata-macaroon", text(&node, "/admin_macaroon")?)];
        let title = BASE64.encode(text(&challenge, "/challenge/title")?.as_bytes());
        let signed = client.post(&sign, &macaroon, &json!({ "msg": title }), StatusCode::OK).await?;
        let answer = json!({ "did": did, "challenge_id": text(&challenge, "/challenge/challenge_id")?,
            "signature": text(&signed, "/signature")? });
        client.post("/v1/challenges/verify", &[], &answer, StatusCode::OK).await?;
        let me = self.get("/v1/auth/me").await?;
        expect_eq(&me, "/pubkey", pubkey)
    }

    async fn links_discord(&self, sandbox: &str) -> Result<()> {
        let client = self.client;
        client.say("Link Discord, too. The page asks where to go.");
        let headers = [self.headers[0], ("accept", "application/json")];
        let start = client.answer(&Method::GET, "/v1/auth/discord/start", &headers, None).await?;
        let cookie =
            start.headers.get("set-cookie").and_then(|value| value.to_str().ok()).context("no cookie")?;
        let cookie = cookie.split(';').next().unwrap_or_default();

        client.say("The browser goes there. Whoever sits at it agrees, and is sent back with a code.");
        let snowflake = u64::from_str_radix(&random_hex::<7>()?, 16)?.to_string();
        let person =
            json!({ "id": snowflake, "username": "hal", "email": "hal@example.com", "verified": true });
        client.post(&format!("{sandbox}/sandbox/discord/person"), &[], &person, StatusCode::OK).await?;
        let away = client.answer(&Method::GET, text(&start.json()?, "/authorizationUrl")?, &[], None).await?;
        let back =
            away.headers.get("location").and_then(|value| value.to_str().ok()).context("sent nowhere")?;
        println!("< location: {back}");

        client.say("The page hands the code in.");
        let (_, query) = back.split_once('?').context("nothing to come back with")?;
        let headers = [self.headers[0], ("cookie", cookie)];
        let callback = format!("/v1/auth/discord/callback?{query}");
        client.send(&Method::GET, &callback, &headers, None, StatusCode::OK).await?;

        client.say("Every way this account is signed in to.");
        let identities = self.get("/v1/auth/identities").await?;
        for kind in ["email", "node", "discord"] {
            let found = identities["items"].as_array().into_iter().flatten().any(|one| one["kind"] == kind);
            ensure!(found, "{kind} is not linked");
        }
        Ok(())
    }

    async fn looks_after_sessions(&self, email: &str, password: &str) -> Result<()> {
        let client = self.client;
        client.say("Log in on a phone as well, and list what is open.");
        let body = json!({ "email": email, "password": password, "platform": "ios", "deviceId": "phone" });
        let phone = client.post("/v1/auth/login", &[], &body, StatusCode::OK).await?;
        let sessions = self.get(&format!("/v1/sessions/user/{}", self.user)).await?;
        let on_phone =
            sessions["items"].as_array().into_iter().flatten().find(|one| one["deviceId"] == "phone");
        let id = text(on_phone.context("the phone is not listed")?, "/id")?.to_owned();

        client.say("The phone is lost: end its session. From then on its token opens nothing.");
        let path = format!("/v1/sessions/{id}");
        client.send(&Method::DELETE, &path, &self.headers, None, StatusCode::OK).await?;
        let lost = format!("Bearer {}", text(&phone, "/accessToken")?);
        let lost = [("authorization", lost.as_str())];
        client.send(&Method::GET, "/v1/auth/me", &lost, None, StatusCode::UNAUTHORIZED).await?;
        let refresh = json!({ "refreshToken": text(&phone, "/refreshToken")? });
        client.post("/v1/auth/refresh", &[], &refresh, StatusCode::UNAUTHORIZED).await?;
        self.get("/v1/auth/me").await.map(drop)
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.client.send(&Method::GET, path, &self.headers, None, StatusCode::OK).await
    }
}

/// The last letter to an address, once there is one.
async fn letter(client: &Client, sandbox: &str, address: &str) -> Result<Value> {
    for _ in 0..POLLS {
        let mailbox = client.quietly(&format!("{sandbox}/sandbox/mail/{address}"), &[]).await?;
        if let Some(letter) = mailbox["letters"].as_array().and_then(|letters| letters.last()) {
            return Ok(letter.clone());
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("no mail came to {address}")
}

fn token_of(letter: &str) -> Result<String> {
    let (_, rest) = letter.split_once("token=").context("there is no token in the mail")?;
    let is_token = |c: &char| c.is_ascii_alphanumeric() || ['-', '_'].contains(c);
    Ok(rest.chars().take_while(is_token).collect())
}
