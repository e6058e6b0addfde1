//! Signing in by Discord and Privy, as a browser does it.

use anyhow::{Context, Result};
use sandbox::discord::Person as DiscordPerson;
use sandbox::privy::PrivyPerson;
use serde_json::json;

use crate::client::{Answer, Request, text};
use crate::stack::Stack;

/// A way to Discord and back: where to come back to, and with which cookie.
#[derive(Clone, Debug)]
pub struct Journey {
    pub callback: String,
    pub cookie: String,
}

impl Stack {
    /// Goes to Discord and agrees there, as nobody or as whoever has this token. What is left is to come back.
    pub async fn to_discord(&self, person: DiscordPerson, bearer: Option<&str>) -> Result<Journey> {
        let start = self.client.get("/v1/auth/discord/start").header("accept", "application/json");
        let start = match bearer {
            Some(token) => start.bearer(token),
            None => start,
        };
        let answer = start.answers(200).await?;
        self.sandbox.discord().person(person);
        let back = self.sandbox.discord().authorize(text(&answer.json()?, "/authorizationUrl")?)?;
        let query = back.query().context("nothing to come back with")?;
        let cookie = cookie_of(&answer).context("no cookie")?;
        Ok(Journey { callback: format!("/v1/auth/discord/callback?{query}"), cookie })
    }

    /// The way back.
    pub fn from_discord(&self, journey: &Journey, bearer: Option<&str>) -> Request {
        let request = self.client.get(&journey.callback).header("cookie", &journey.cookie);
        match bearer {
            Some(token) => request.bearer(token),
            None => request,
        }
    }

    /// Signs in with a token that Privy gave this person.
    pub fn by_privy(&self, person: &PrivyPerson) -> Request {
        let tokens = self.sandbox.privy().tokens(person);
        let body =
            json!({ "privyToken": tokens.access, "identityToken": tokens.identity, "platform": "web" });
        self.client.post("/v1/auth/login", &body)
    }
}

/// The name and value of the cookie that an answer sets.
pub fn cookie_of(answer: &Answer) -> Option<String> {
    answer.header("set-cookie").split(';').next().filter(|pair| pair.contains('=')).map(str::to_owned)
}
