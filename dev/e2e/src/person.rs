//! A person with an e-mail address and a password, doing what a client app does for them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::types::Type;

use crate::client::{Answer, Client, Request, text};
use crate::owner::unique;
use crate::stack::Stack;

/// Mail is sent right after the answer, or by the schedule.
const MAIL_WITHIN: Duration = Duration::from_secs(10);

/// An address nobody has, and its password.
#[derive(Clone)]
pub struct Person {
    pub email: String,
    pub password: String,
    pub client: Client,
}

/// What every sign-in but a node's answers.
#[derive(Clone, Debug)]
pub struct Session {
    pub access: String,
    pub refresh: String,
    pub id: String,
    pub user_id: String,
}

impl Person {
    pub fn new(stack: &Stack) -> Self {
        let email = format!("{}@example.com", unique("p"));
        Self { email, password: unique("password "), client: stack.client.clone() }
    }

    pub fn register(&self) -> Request {
        let body = json!({ "email": self.email, "password": self.password });
        self.client.post("/v1/auth/register", &body)
    }

    pub fn log_in(&self) -> Request {
        let body = json!({ "email": self.email, "password": self.password, "platform": "web" });
        self.client.post("/v1/auth/login", &body)
    }

    /// Registers, and brings back the token that was mailed.
    pub async fn sign_up(&self, stack: &Stack) -> Result<Session> {
        let session = Session::read(&self.register().success().await?)?;
        self.verify(&stack.mailed_token(&self.email).await?).success().await?;
        Ok(session)
    }

    pub fn verify(&self, token: &str) -> Request {
        self.client.post("/v1/auth/email/verify", &json!({ "token": token }))
    }
}

impl Session {
    pub fn read(answer: &Value) -> Result<Self> {
        let of = |name: &str| Ok::<_, anyhow::Error>(text(answer, name)?.to_owned());
        Ok(Self {
            access: of("/accessToken")?,
            refresh: of("/refreshToken")?,
            id: of("/sessionId")?,
            user_id: of("/userId")?,
        })
    }

    pub async fn from(request: Request) -> Result<Self> {
        Self::read(&request.success().await?)
    }
}

/// What a refresh answers.
pub fn refresh(client: &Client, token: &str) -> Request {
    client.post("/v1/auth/refresh", &json!({ "refreshToken": token }))
}

impl Request {
    /// Sends it and takes no refusal. An answer without a body is null.
    pub async fn success(self) -> Result<Value> {
        let answer = self.send().await?;
        ensure!((200..300).contains(&answer.status), "it was to succeed: {answer}");
        if answer.body.is_empty() { Ok(Value::Null) } else { answer.json() }
    }

    /// Sends it and takes nothing but this status.
    pub async fn answers(self, status: u16) -> Result<Answer> {
        let answer = self.send().await?;
        ensure!(answer.status == status, "{status} was to be answered: {answer}");
        Ok(answer)
    }
}

impl Stack {
    /// The token in the last letter to this address, once there is one.
    pub async fn mailed_token(&self, address: &str) -> Result<String> {
        let letter = self.letter(address, 1).await?;
        token_in(&letter).with_context(|| format!("no token: {letter}"))
    }

    /// The text of the last letter, once there are so many.
    pub async fn letter(&self, address: &str, count: usize) -> Result<String> {
        let started = Instant::now();
        loop {
            let letters = self.sandbox.mail().inbox(address);
            if let Some(letter) = letters.last().filter(|_| letters.len() >= count) {
                return Ok(letter.text.clone());
            }
            ensure!(started.elapsed() < MAIL_WITHIN, "{} letters to {address}, not {count}", letters.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What stands behind `token=` in a letter.
pub fn token_in(letter: &str) -> Option<String> {
    let rest = letter.split_once("token=")?.1;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

impl Stack {
    /// Makes the account an administrator's, as the operator's tool does. Their next token says so.
    pub async fn grant_admin(&self, user_id: &str) -> Result<()> {
        let grant = "INSERT INTO admins (user_id, granted_at) VALUES (CAST($1 AS uuid), now())";
        self.admin().await?.execute_typed(grant, &[(&user_id, Type::TEXT)]).await?;
        Ok(())
    }

    /// Somebody new who is an administrator, signed in.
    pub async fn administrator(&self) -> Result<Session> {
        let person = Person::new(self);
        let session = person.sign_up(self).await?;
        self.grant_admin(&session.user_id).await?;
        Session::from(person.log_in()).await
    }
}
