//! `POST /v1/auth/refresh` — spends a refresh token for the next one and a fresh access token.
//!
//! Two round trips and one commit: the session is read while its limits are counted, then its counter is compared and
//! set. Nothing is locked, so of many requests with one token one rotates it and the others are sent the same successor.
//! A token that was spent longer ago ends its session: somebody has a copy.

mod presented;

use std::time::Duration;

use presented::{AllowedOrigins, Presented, rejected};
use serde_json::json;
use shared::audit::{Auditor, Entry};
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::Secret;
use shared::db::{self, Connection, Db};
use shared::http::limit;
use shared::http::signed_in::SignIns;
use shared::http::{ApiError, ErrorCode, Reply, Request, StatusCode, account_deleted};
use shared::mail::{Kind, Mails};
use shared::metrics;
use shared::rate_limit::Limit;
use shared::session::own::{self, Reach};
use shared::session::refresh::{Decision, Refreshable};
use shared::session::refresh_token::RefreshToken;
use shared::session::{self, Ended};
use time::OffsetDateTime;

/// A look that was overtaken is repeated: the winner's rotation is then seen, and decides.
const LOOKS: usize = 3;
const REUSED: &str = "session.reuse_detected";

pub struct Deps {
    db: Db,
    sign_ins: SignIns,
    audit: Auditor,
    mails: Mails,
    origins: AllowedOrigins,
    /// How long a spent token still gets its successor.
    grace: Duration,
    per_session: u32,
    per_address: u32,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            sign_ins: SignIns::wire(config),
            audit: Auditor::wire(config),
            mails: Mails::wire(config),
            origins: AllowedOrigins::wire(config),
            grace: config.seconds("REFRESH_GRACE_SECONDS", 60, 0..=3_600),
            per_session: config.number("RATE_LIMIT_REFRESH_PER_SESSION", 120, 1..=1_000_000),
            per_address: config.number("RATE_LIMIT_REFRESH_PER_ADDRESS", 600, 1..=1_000_000),
            clock: config.clock(),
        }
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    refresh(deps, request).await.map_err(|refusal| {
        let is_over = matches!(refusal.code, ErrorCode::RefreshRejected | ErrorCode::AccountDeleted);
        if is_over && Presented::is_in_cookie(request) {
            return refusal.with_cookie(session::no_refresh_cookie());
        }
        refusal
    })
}

async fn refresh(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let presented = Presented::of(request, &deps.origins)?;
    let token = RefreshToken::parse(presented.token.expose()).ok_or_else(rejected)?;
    // The session's by the address as well: whoever knows its id and no token of it must not use up its owner's.
    let session = format!("{}\n{}", token.session_id, limit::address(request));
    let limits = [
        Limit::new("refresh:session", &session, deps.per_session),
        limit::per_address("refresh", request, deps.per_address),
    ];

    let mut connection = deps.db.connection().await?;
    for look in 0..LOOKS {
        // One request, however often it has to look.
        let limits = if look == 0 { &limits[..] } else { &[] };
        let now = deps.clock.now();
        let client = connection.client();
        let sessions = &deps.sign_ins.sessions;
        let found = sessions.find_refreshable(client, &token, limits, now).await?.ok_or_else(rejected)?;
        let refresh_token = match found.decide(&token, deps.grace, now) {
            Decision::Rotate => found.next_token(),
            Decision::SendAgain => found.current_token(),
            Decision::Refuse => return Err(rejected()),
            Decision::Deleted => return Err(account_deleted()),
            Decision::EndReused => {
                end_reused(deps, &mut connection, (request, &found, &token), now).await?;
                return Err(rejected());
            }
        };
        // Made before the token is spent: what fails here has cost nothing.
        let reply = answer(deps, &connection, (&found, presented.in_cookie), refresh_token, now).await?;
        if token.counter < found.rotation.counter || sessions.rotate(connection.client(), &found, now).await?
        {
            return Ok(reply);
        }
    }
    Err(ApiError::unavailable("others were quicker each time"))
}

async fn answer(
    deps: &Deps,
    connection: &Connection,
    (found, in_cookie): (&Refreshable, bool),
    refresh_token: Secret<String>,
    now: OffsetDateTime,
) -> Result<Reply, ApiError> {
    let ids = (found.user_id, found.session_id);
    let access_token = deps.sign_ins.access(connection.client(), ids, found.is_admin, now).await?;
    let cookie_for = in_cookie.then(|| found.left(now));
    let signed_in = deps.sign_ins.again(ids, (access_token, found.is_admin), refresh_token, cookie_for);
    Ok(signed_in.reply(StatusCode::OK))
}

/// Ends the session of a token that was spent before, and writes down that it was.
async fn end_reused(
    deps: &Deps,
    connection: &mut Connection,
    (request, found, token): (&Request, &Refreshable, &RefreshToken),
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let tx = connection.transaction().await?;
    let reach = Reach::Own(found.user_id);
    if own::end(&tx, found.session_id, reach, (Ended::RefreshTokenReused, now)).await? {
        let entry = Entry {
            user_id: Some(found.user_id),
            action: REUSED,
            resource: ("session", &found.session_id.to_string()),
            details: json!({ "presented": token.counter, "current": found.rotation.counter }),
            origin: request.origin(),
            now,
        };
        deps.audit.append(&tx, &entry).await?;
        deps.mails.tell(&tx, (found.user_id, Kind::SessionReuseDetected, None), now).await?;
        db::commit(tx).await?;
        metrics::count("SessionReuseDetected");
    }
    Ok(())
}
