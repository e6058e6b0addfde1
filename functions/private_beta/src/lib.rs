//! `/v1/private-beta` — referral keys of the private beta, and who came with them.
//!
//! | Route | What it does |
//! |---|---|
//! | `POST /v1/private-beta/referral` | makes a key, for administrators |
//! | `POST /v1/private-beta/referrals` | the same |
//! | `POST /v1/private-beta/referrals/bulk` | makes 1 to 100 keys, for administrators |
//! | `GET /v1/private-beta/referrals/unused` | lists keys nobody came with yet, for administrators |
//! | `POST /v1/private-beta/verify` | lets an e-mail in with a key |
//! | `POST /v1/private-beta/check-validity` | says whether somebody may still come with a key |
//! | `POST /v1/private-beta/status` | says whether an e-mail came with a key |
//! | `GET /v1/private-beta/users` | lists who came, for administrators |
//! | `GET /v1/private-beta/debug` | counts the keys, for administrators |
//!
//! What needs no session is counted by address, and tells nobody whether an e-mail is in who does not hold its key.

mod lists;
mod mint;
mod public;

use shared::audit::Auditor;
use shared::clock::Clock;
use shared::config::Config;
use shared::crypto::{KeyRing, SealingKeys};
use shared::db::Db;
use shared::http::auth::Authenticator;
use shared::http::{ApiError, Reply, Request, unrouted};
use shared::random::Random;
use shared::secrets::SecretHandle;

pub struct Deps {
    db: Db,
    auth: Authenticator,
    sealing: SecretHandle<KeyRing>,
    audit: Auditor,
    clock: Clock,
    random: Random,
    per_address: u32,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            auth: Authenticator::wire(config),
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            audit: Auditor::wire(config),
            clock: config.clock(),
            random: config.random(),
            per_address: config.number("RATE_LIMIT_SIGN_IN_PER_ADDRESS", 300, 1..=1_000_000),
        }
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    match request.route.as_str() {
        "POST /v1/private-beta/referral" | "POST /v1/private-beta/referrals" => {
            mint::one(deps, request).await
        }
        "POST /v1/private-beta/referrals/bulk" => mint::many(deps, request).await,
        "GET /v1/private-beta/referrals/unused" => lists::unused(deps, request).await,
        "POST /v1/private-beta/verify" => public::verify(deps, request).await,
        "POST /v1/private-beta/check-validity" => public::check_validity(deps, request).await,
        "POST /v1/private-beta/status" => public::status(deps, request).await,
        "GET /v1/private-beta/users" => lists::users(deps, request).await,
        "GET /v1/private-beta/debug" => lists::debug(deps, request).await,
        _ => Err(unrouted(request)),
    }
}
