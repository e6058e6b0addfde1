//! Discord's `OAuth2`, as far as it takes to know who somebody is.
//!
//! The access token is used once, to ask, and dropped. It is not revoked: Discord would end every token of that person's
//! authorization with it, a second sign-in that is under way included, and have them agree anew each time.

use std::fmt;

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::config::Config;
use crate::crypto::{Secret, sha256};
use crate::secrets::{SecretError, SecretHandle};
use crate::upstream::{Asked, BaseUrl, Got, Repeat, Upstream};

const LIVE: &str = "https://discord.com";
const SCOPE: &str = "identify email";
const METRIC: &str = "DiscordMilliseconds";
/// A snowflake is a number of 64 bits.
const MAX_ID_DIGITS: usize = 20;
/// More than Discord lets a name be.
const MAX_NAME_CHARS: usize = 64;
/// Longer than any code.
const MAX_CODE_BYTES: usize = 512;

/// The secret document `satchel/discord`.
#[derive(Deserialize)]
pub struct ApplicationDocument {
    client_id: String,
    client_secret: Secret<String>,
}

/// What Discord knows us by.
struct Application {
    id: String,
    secret: Secret<String>,
}

impl TryFrom<ApplicationDocument> for Application {
    type Error = &'static str;

    fn try_from(document: ApplicationDocument) -> Result<Self, Self::Error> {
        if !is_snowflake(&document.client_id) {
            return Err("has a client_id that is not a number");
        }
        let secret = document.client_secret.expose();
        if secret.is_empty() || secret.len() > 256 || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a client_secret that is not printable ASCII without blanks");
        }
        Ok(Self { id: document.client_id, secret: document.client_secret })
    }
}

/// Discord, and our application there.
#[derive(Clone)]
pub struct Discord {
    upstream: Upstream,
    base: BaseUrl,
    application: SecretHandle<Application>,
    redirect_uris: Vec<String>,
}

/// Who somebody is at Discord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscordUser {
    /// A snowflake: digits, and for ever theirs.
    pub id: String,
    pub username: String,
    /// As Discord wrote it.
    pub email: Option<String>,
    /// Whether Discord has seen that the mailbox is theirs.
    pub email_verified: bool,
}

/// Why nobody is known after it.
#[derive(Debug)]
pub enum DiscordError {
    /// The code is none of Discord's, used, expired, or was got with another verifier.
    Refused,
    /// Discord does not take our application, or where it sends people back to.
    Misconfigured(String),
    /// No answer, or none anybody can read. The code may be used up.
    Unavailable(String),
    Secret(SecretError),
}

impl fmt::Display for DiscordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("Discord refuses the code"),
            Self::Misconfigured(why) => write!(f, "Discord refuses our application: {why}"),
            Self::Unavailable(why) => write!(f, "Discord is away: {why}"),
            Self::Secret(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for DiscordError {}

/// What goes to Discord in place of the verifier (RFC 7636, S256).
pub fn challenge(verifier: &str) -> String {
    BASE64URL_NOPAD.encode(&sha256(verifier.as_bytes()))
}

#[derive(Deserialize)]
struct Token {
    access_token: Secret<String>,
    token_type: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OauthError {
    error: String,
    error_description: String,
}

#[derive(Deserialize)]
struct Me {
    id: String,
    username: String,
    email: Option<String>,
    verified: Option<bool>,
}

impl Discord {
    /// Reads `DISCORD_SECRET`, `DISCORD_URL` and `DISCORD_REDIRECT_URIS`; without the first there is no Discord.
    pub fn wire(config: &mut Config, upstream: &Upstream) -> Option<Self> {
        let application = config.optional_secret::<ApplicationDocument, Application>("DISCORD_SECRET")?;
        let url = config.optional("DISCORD_URL").unwrap_or_else(|| LIVE.to_owned());
        let base = BaseUrl::read(config, "DISCORD_URL", &url, upstream.scheme())?;
        let listed = config.text("DISCORD_REDIRECT_URIS");
        let redirect_uris: Vec<_> = listed.split(',').map(|uri| uri.trim().to_owned()).collect();
        let usable = |uri: &String| {
            Url::parse(uri).is_ok_and(|url| url.fragment().is_none() && url.scheme() != "javascript")
        };
        if !listed.is_empty() && !redirect_uris.iter().all(usable) {
            config.problem("DISCORD_REDIRECT_URIS is not a list of URLs without fragments");
        }
        Some(Self { upstream: upstream.clone(), base, application, redirect_uris })
    }

    /// Where Discord may send people back to: the one asked for, if it is listed exactly so; the first if none is.
    pub fn redirect_uri(&self, asked: Option<&str>) -> Option<&str> {
        let mut listed = self.redirect_uris.iter().map(String::as_str);
        match asked {
            None => listed.next(),
            Some(asked) => listed.find(|uri| *uri == asked),
        }
    }

    /// Where the browser goes to have somebody agree.
    pub async fn authorize_url(
        &self,
        state: &str,
        challenge: &str,
        redirect_uri: &str,
    ) -> Result<String, DiscordError> {
        let application = self.application.get().await.map_err(DiscordError::Secret)?;
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &application.id)
            .append_pair("scope", SCOPE)
            .append_pair("state", state)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256")
            // Whoever agreed before is not asked again.
            .append_pair("prompt", "none")
            .finish();
        Ok(format!("{}?{query}", self.base.with("/oauth2/authorize")))
    }

    /// Who agreed. A code is good once.
    pub async fn exchange(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<DiscordUser, DiscordError> {
        if code.is_empty() || code.len() > MAX_CODE_BYTES || !code.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(DiscordError::Refused);
        }
        let body = Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier)
            .finish();
        let application = self.application.get().await.map_err(DiscordError::Secret)?;
        let mut answer = self.token(&application, &body).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Ok(fresh) = self.application.get_fresh().await
            && fresh.secret.expose() != application.secret.expose()
        {
            // It may have been reset at Discord. What was refused for us was not refused for the code.
            answer = self.token(&fresh, &body).await?;
        }
        let token = read_token(&answer, code, verifier)?;
        self.me(&token).await
    }

    async fn token(&self, application: &Application, body: &str) -> Result<Got, DiscordError> {
        let pair = Secret::new(format!("{}:{}", application.id, application.secret.expose()));
        let basic = Secret::new(format!("Basic {}", BASE64.encode(pair.expose().as_bytes())));
        let asked = Asked {
            method: Method::POST,
            url: self.base.with("/api/oauth2/token"),
            headers: authorization(&basic),
            body: Some(("application/x-www-form-urlencoded", Bytes::copy_from_slice(body.as_bytes()))),
            repeat: Repeat::Unsafe,
            metric: METRIC,
            within: None,
        };
        self.upstream.once(&asked).await.map_err(|missed| DiscordError::Unavailable(missed.to_string()))
    }

    async fn me(&self, token: &Token) -> Result<DiscordUser, DiscordError> {
        let bearer = Secret::new(format!("Bearer {}", token.access_token.expose()));
        let asked = Asked {
            method: Method::GET,
            url: self.base.with("/api/v10/users/@me"),
            headers: authorization(&bearer),
            body: None,
            repeat: Repeat::Safe,
            metric: METRIC,
            within: None,
        };
        let answer = self.upstream.once(&asked).await;
        let answer = answer.map_err(|missed| DiscordError::Unavailable(missed.to_string()))?;
        let unexpected =
            |why: &str| DiscordError::Unavailable(answer.loggable(why, &[token.access_token.expose()]));
        if answer.status != StatusCode::OK {
            return Err(unexpected("does not say whose token it is"));
        }
        let me: Me = serde_json::from_slice(&answer.body).map_err(|_| unexpected("not a user"))?;
        if !is_snowflake(&me.id) {
            return Err(unexpected("a user without an id"));
        }
        let email = me.email.filter(|email| !email.is_empty());
        let email_verified = email.is_some() && me.verified == Some(true);
        let printable = me.username.chars().filter(|c| !c.is_control());
        let username = printable.take(MAX_NAME_CHARS).collect();
        Ok(DiscordUser { id: me.id, username, email, email_verified })
    }
}

fn read_token(answer: &Got, code: &str, verifier: &str) -> Result<Token, DiscordError> {
    let said = |why: &str| answer.loggable(why, &[code, verifier]);
    if answer.status == StatusCode::OK {
        let token: Option<Token> = serde_json::from_slice(&answer.body).ok();
        let bearer = token.filter(|token| token.token_type.eq_ignore_ascii_case("bearer"));
        return bearer.ok_or_else(|| DiscordError::Unavailable(said("not a token")));
    }
    let OauthError { error, error_description } = serde_json::from_slice(&answer.body).unwrap_or_default();
    // Of all that is sent only the code is the caller's; Discord says either.
    let of_the_code =
        error == "invalid_grant" || (error == "invalid_request" && error_description.contains("\"code\""));
    match answer.status {
        StatusCode::BAD_REQUEST if of_the_code => Err(DiscordError::Refused),
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED if !error.is_empty() => {
            Err(DiscordError::Misconfigured(said(&format!("{error} {error_description}"))))
        }
        _ => Err(DiscordError::Unavailable(said("no answer to a code"))),
    }
}

/// Made of what a header can hold; if it could not be, Discord would refuse the lack of it.
fn authorization(value: &Secret<String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(mut value) = HeaderValue::from_str(value.expose()) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    headers
}

fn is_snowflake(id: &str) -> bool {
    (1..=MAX_ID_DIGITS).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_digit())
        && !id.starts_with('0')
}
