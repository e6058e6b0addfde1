//! `/v1/users` — accounts, as their owners and administrators see and change them.
//!
//! | Route | What it does |
//! |---|---|
//! | `GET /v1/users` | lists accounts, for administrators |
//! | `POST /v1/users` | makes an account for somebody who signs in by Privy, for administrators |
//! | `GET /v1/users/{id}` | shows one account |
//! | `PUT /v1/users/{id}` | changes its display name, if nobody did meanwhile |
//! | `DELETE /v1/users/{id}` | deletes it and ends its sessions; it is erased later |
//! | `GET /v1/users/{id}/export` | gives everything the owner may have of what is kept about them |
//! | `POST /v1/users/{id}/wallet` | notes that a wallet is theirs, as they say |
//! | `POST /v1/users/{id}/activity` | notes that they are there |
//! | `GET /v1/users/privy/{privyId}` | finds the account of a Privy id |
//! | `GET /v1/users/wallet/{walletAddress}` | finds the account of a wallet |
//!
//! Owner or administrator, everywhere: to others an account they name by its id is `FORBIDDEN`, there or not, and one
//! they look up by something else is `NOT_FOUND`.

mod activity;
mod create;
mod delete;
mod export;
mod find;
mod list;
mod parse;
mod update;
mod wallet;

use std::time::Duration;

use shared::audit::Auditor;
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::Db;
use shared::http::auth::RecentAuthenticator;
use shared::http::{ApiError, ErrorCode, Reply, Request, unrouted, version};
use shared::mail::Mails;
use shared::random::Random;
use shared::secrets::SecretHandle;
use shared::user::User;

/// Longer than a request may take, so that a lock ends by itself only when its holder died.
const LOCK_TTL: Duration = Duration::from_secs(35);

pub struct Deps {
    db: Db,
    auth: RecentAuthenticator,
    sealing: SecretHandle<KeyRing>,
    audit: Auditor,
    mails: Mails,
    clock: Clock,
    random: Random,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            auth: RecentAuthenticator::wire(config),
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            audit: Auditor::wire(config),
            mails: Mails::wire(config),
            clock: config.clock(),
            random: config.random(),
        }
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    match request.route.as_str() {
        "GET /v1/users" => list::list(deps, request).await,
        "POST /v1/users" => create::create(deps, request).await,
        "GET /v1/users/{id}" => find::by_id(deps, request).await,
        "PUT /v1/users/{id}" => update::update(deps, request).await,
        "DELETE /v1/users/{id}" => delete::delete(deps, request).await,
        "GET /v1/users/{id}/export" => export::export(deps, request).await,
        "POST /v1/users/{id}/wallet" => wallet::register(deps, request).await,
        "POST /v1/users/{id}/activity" => activity::note(deps, request).await,
        "GET /v1/users/privy/{privyId}" => find::by_privy(deps, request).await,
        "GET /v1/users/wallet/{walletAddress}" => find::by_wallet(deps, request).await,
        _ => Err(unrouted(request)),
    }
}

/// One account, with the version a change has to name.
fn answer(reply: fn(&User) -> Reply, user: &User) -> Reply {
    version::tagged(reply(user), user.version)
}

fn not_found() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "no such account")
}

fn forbidden() -> ApiError {
    ApiError::new(ErrorCode::Forbidden, "this is not yours")
}
