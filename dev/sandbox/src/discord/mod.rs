//! Discord at `/discord/…`: `OAuth2` with PKCE, and who somebody is.
//!
//! ```text
//! oauth      authorize, which agrees at once; token, form only; revoke       state   applications, codes, tokens
//! mod        the handle, the table of paths, /users/@me                      control /sandbox/discord over HTTP
//! ```
//!
//! There is one application, of [`CLIENT_ID`], until a test makes another. Somebody sits at the browser and agrees to
//! whatever is asked; who it is, a test says. A code is good once and for ten minutes, for the `redirect_uri` it was
//! asked with, and, if it was asked with a challenge, only with its verifier.

pub(crate) mod control;
mod oauth;
mod state;

use std::{collections::BTreeMap, sync::Arc};

use hyper::{Method, Request, StatusCode, body::Bytes, header::AUTHORIZATION, http::request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

pub(crate) use state::DiscordState;

use crate::{
    clock,
    reply::Reply,
    world::{World, lock},
};

const PREFIX: &str = "/discord";

/// The application there is from the beginning, its secret, and where it may send people back to.
pub const CLIENT_ID: &str = "1100000000000000001";
pub const CLIENT_SECRET: &str = "sandbox-discord-client-secret";
pub const REDIRECT_URI: &str = "http://127.0.0.1:3000/auth/discord";

/// Somebody with an account at Discord.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// A snowflake.
    pub id: String,
    pub username: String,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub verified: bool,
}

impl Person {
    pub fn new(id: &str, username: &str) -> Self {
        Self { id: id.to_owned(), username: username.to_owned(), email: None, verified: false }
    }

    #[must_use]
    pub fn email(self, email: &str, verified: bool) -> Self {
        Self { email: Some(email.to_owned()), verified, ..self }
    }
}

/// Discord as a test sees it.
#[derive(Clone)]
pub struct Discord(pub(crate) Arc<World>);

impl Discord {
    /// What `DISCORD_URL` is to be.
    pub fn url(&self) -> String {
        format!("{}{PREFIX}", self.0.base_url)
    }

    /// This person sits at the browser from now on.
    pub fn person(&self, person: Person) {
        lock(&self.0.discord).person = person;
    }

    /// They say no to the next request.
    pub fn deny_next(&self) {
        lock(&self.0.discord).deny_next = true;
    }

    /// The person at the browser goes to this URL and agrees: where Discord sends them, `code` and `state` with it.
    pub fn authorize(&self, authorize_url: &str) -> anyhow::Result<Url> {
        let url = Url::parse(authorize_url)?;
        let query = url.query_pairs().into_owned().collect::<BTreeMap<_, _>>();
        let to =
            oauth::authorize(&self.0, &query).map_err(|why| anyhow::anyhow!("Discord refuses: {why}"))?;
        Ok(Url::parse(&to)?)
    }

    /// One more application, or another secret or other addresses for one there is.
    pub fn application(&self, client_id: &str, client_secret: &str, redirect_uris: &[&str]) {
        let redirect_uris = redirect_uris.iter().map(|uri| (*uri).to_owned()).collect();
        lock(&self.0.discord).add_application(client_id, client_secret, redirect_uris);
    }

    /// Access tokens that are good.
    pub fn live_tokens(&self) -> usize {
        lock(&self.0.discord).live_tokens(clock::now())
    }
}

pub(crate) fn claims(parts: &Parts) -> bool {
    parts.uri.path().strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(crate) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Reply {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    match (request.method(), path) {
        (&Method::GET, "/oauth2/authorize" | "/api/oauth2/authorize") => oauth::browse(world, request),
        (&Method::POST, "/api/oauth2/token" | "/api/v10/oauth2/token") => oauth::token(world, request),
        (&Method::POST, "/api/oauth2/token/revoke" | "/api/v10/oauth2/token/revoke") => {
            oauth::revoke(world, request)
        }
        (&Method::GET, "/api/v10/users/@me" | "/api/users/@me") => me(world, request),
        _ => refuse(StatusCode::NOT_FOUND, "404: Not Found"),
    }
}

/// How the API itself, behind `OAuth2`, says no.
fn refuse(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({ "message": message, "code": 0 }))
}

fn me(world: &World, request: &Request<Bytes>) -> Reply {
    let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|bearer| bearer.strip_prefix("Bearer "));
    let state = lock(&world.discord);
    let Some(grant) = token.and_then(|token| state.grant(token, clock::now())) else {
        return refuse(StatusCode::UNAUTHORIZED, "401: Unauthorized");
    };
    if !grant.may("identify") {
        return refuse(StatusCode::FORBIDDEN, "Missing Access");
    }
    let Person { id, username, email, verified } = &grant.person;
    let mut user = json!({
        "id": id,
        "username": username,
        "global_name": Value::Null,
        "discriminator": "0",
        "avatar": Value::Null,
        "locale": "en-US",
        "mfa_enabled": false,
    });
    if grant.may("email") {
        user["email"] = json!(email);
        user["verified"] = json!(verified);
    }
    Reply::json(StatusCode::OK, &user)
}
