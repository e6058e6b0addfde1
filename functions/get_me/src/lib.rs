//! `GET /v1/auth/me` — the account that is signed in, in one round trip.

use serde::Serialize;
use shared::clock::Clock;
use shared::config::Config;
use shared::db::Db;
use shared::http::auth::{self, Authenticator};
use shared::http::{ApiError, Reply, Request, limit, version};
use shared::session::current::{self, CurrentAccount, Text, Time};
use shared::token::AccessClaims;
use time::OffsetDateTime;
use uuid::Uuid;

pub struct Deps {
    db: Db,
    auth: Authenticator,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { db: Db::wire(config), auth: Authenticator::wire(config), clock: config.clock() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    display_name: Option<&'a str>,
    email: Option<&'a str>,
    email_verified: bool,
    discord_id: Option<&'a str>,
    discord_username: Option<&'a str>,
    privy_id: Option<&'a str>,
    pubkey: Option<&'a str>,
    dids: Vec<&'a str>,
    version: i64,
    is_admin: bool,
    session_id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    last_login_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_active_at: Option<OffsetDateTime>,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let bearer = auth::bearer(request)?;
    let now = deps.clock.now();

    let connection = deps.db.connection().await?;
    let claims = deps.auth.claims(connection.client(), &bearer, now).await?;
    let ids = (claims.sub, claims.sid);
    let own = deps.auth.limit(&claims);
    let found = current::account(connection.client(), ids, claims.is_admin(), &own, now).await?;
    let account = found.map_err(limit::refusal)?.ok_or_else(auth::unauthenticated)?;

    let reply = Reply::ok(&Answer::new(&claims, &account));
    Ok(version::tagged(reply, account.version()))
}

impl<'a> Answer<'a> {
    fn new(claims: &AccessClaims, account: &'a CurrentAccount) -> Self {
        Self {
            id: claims.sub,
            username: account.text(Text::Username),
            display_name: account.text(Text::DisplayName),
            email: account.text(Text::Email),
            email_verified: account.email_verified(),
            discord_id: account.text(Text::DiscordId),
            discord_username: account.text(Text::DiscordUsername),
            privy_id: account.text(Text::PrivyId),
            pubkey: account.text(Text::Pubkey),
            dids: account.dids(),
            version: account.version(),
            is_admin: account.is_admin(),
            session_id: claims.sid,
            created_at: account.created_at(),
            updated_at: account.updated_at(),
            last_login_at: account.time(Time::LastLogin),
            last_active_at: account.time(Time::LastActive),
        }
    }
}
