//! A thousand accounts with an e-mail, a password and a session each; and who is behind a connection.

use super::ground::Ground;
use super::work::PASSWORD;
use anyhow::{Context, Result};
use serde_json::json;
use shared::account::IdentityKind;
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::Secret;
use shared::db::roles::Role;
use shared::password::{self, NewPassword};
use shared::random::Random;
use shared::session::{Device, NewSession, Sessions};
use shared::token::{AccessGrant, TokenIssuer};
use tokio_postgres::types::Type;
use uuid::Uuid;

pub const PEOPLE: u64 = 1_000;

/// One account's client.
#[derive(Clone)]
pub struct Person {
    pub n: u64,
    pub user_id: Uuid,
    pub access: String,
    pub refresh: String,
}

impl Person {
    pub fn email(&self) -> String {
        format!("user{}@example.com", self.n)
    }

    pub fn device(&self) -> String {
        format!("device-{}", self.n)
    }

    pub fn address(&self) -> String {
        let [.., high, low] = self.n.to_be_bytes();
        format!("10.7.{high}.{low}")
    }
}

fn id(n: u64) -> Result<Uuid> {
    Ok(format!("{n:032}").parse()?)
}

/// The accounts; one hash serves all, for it costs the same to verify.
pub async fn accounts(ground: &Ground) -> Result<()> {
    let password = NewPassword::parse(&Secret::new(PASSWORD.to_owned()))?;
    let hash = password::hash(&password, &Random::system()).await?;
    let sql = format!(
        "WITH n AS (SELECT n, lpad(n::text, 32, '0')::uuid AS id FROM generate_series(0, {}) AS n),
              u AS (INSERT INTO users (id, created_at, updated_at) SELECT id, now(), now() FROM n),
              i AS (INSERT INTO identities (user_id, kind, subject, created_at, verified_at)
                    SELECT id, 'email', 'user' || n || '@example.com', now(), now() FROM n)
         INSERT INTO passwords (user_id, hash, changed_at) SELECT id, $1, now() FROM n",
        PEOPLE - 1
    );
    ground.admin.execute_typed(&sql, &[(hash.expose(), Type::TEXT)]).await?;
    Ok(())
}

/// The accounts as they were, each with one new session and nothing else to its name.
pub async fn signed_in(ground: &Ground, count: u64) -> Result<Vec<Person>> {
    ground.empty().await?;
    let mut config =
        Config::new(ground.environment("verify_lightning_signature")?, Clock::system(), Random::system());
    let (sessions, issuer) = (Sessions::wire(&mut config), TokenIssuer::wire(&mut config));
    let (clock, random) = (config.clock(), config.random());
    config.finish().await?;
    let client = ground.db.connect(Role::Auth).await?;
    client.batch_execute("BEGIN").await?;
    let mut people = Vec::new();
    for n in 0..count {
        let (now, user_id) = (clock.now(), id(n)?);
        let mut person = Person { n, user_id, access: String::new(), refresh: String::new() };
        let (email, device, address) = (person.email(), person.device(), person.address().parse()?);
        let session = NewSession {
            id: random.id(now),
            user_id,
            identity: (IdentityKind::Email, &email),
            pubkey: None,
            ip: Some(address),
            user_agent: None,
            device: Device { id: Some(&device), platform: None },
            now,
        };
        let refresh = sessions.open(&client, &session).await;
        person.refresh.clone_from(refresh.map_err(|error| anyhow::anyhow!("{error:?}"))?.expose());
        let grant = AccessGrant { user_id, session_id: session.id, token_id: random.id(now), admin: false };
        person.access.clone_from(issuer.access(&client, &grant, now).await?.expose());
        people.push(person);
    }
    client.batch_execute("COMMIT").await?;
    ground.settle().await?;
    Ok(people)
}

/// What makes a token another: its last letters are of its signature or its MAC.
pub fn forged(token: &str) -> Result<String> {
    let cut = token.len().checked_sub(6).context("no token is so short")?;
    let (kept, tail) = token.split_at(cut);
    Ok(format!("{kept}{}", if tail == "AAAAAA" { "BBBBBB" } else { "AAAAAA" }))
}

/// A body that logs nobody in.
pub fn wrong_password(who: &Person) -> String {
    json!({ "email": who.email(), "password": format!("{PASSWORD}!") }).to_string()
}
