//! `/v1/auth/identities` — the ways an account is signed in to.
//!
//! | Route | What it does |
//! |---|---|
//! | `GET /v1/auth/identities` | lists them |
//! | `POST /v1/auth/identities` | links an e-mail address or a Privy user |
//! | `DELETE /v1/auth/identities/{kind}` | unlinks one, unless it is the last |
//!
//! A node is linked by a `node_link` challenge and Discord at `/v1/auth/discord/start`. To change anything takes a
//! sign-in of the last 15 minutes.

mod link;
mod list;
mod unlink;

use shared::clock::Clock;
use shared::config::Config;
use shared::db::Db;
use shared::http::auth::RecentAuthenticator;
use shared::http::vouched::Linker;
use shared::http::{ApiError, Reply, Request, unrouted};
use shared::mail::Sender;
use shared::privy::Privy;
use shared::random::Random;
use shared::upstream::Upstream;

pub struct Deps {
    db: Db,
    auth: RecentAuthenticator,
    linker: Linker,
    privy: Option<Privy>,
    sender: Sender,
    mails_per_account: u32,
    mails_per_email: u32,
    clock: Clock,
    random: Random,
}

impl Deps {
    /// Wires, beside what its parts do, `RATE_LIMIT_MAIL_PER_ACCOUNT` (5) and `RATE_LIMIT_MAIL_PER_EMAIL` (3).
    pub fn wire(config: &mut Config) -> Self {
        let upstream = Upstream::wire(config);
        Self {
            db: Db::wire(config),
            auth: RecentAuthenticator::wire(config),
            linker: Linker::wire(config),
            privy: Privy::wire(config, &upstream),
            sender: Sender::wire(config),
            mails_per_account: config.number("RATE_LIMIT_MAIL_PER_ACCOUNT", 5, 1..=1_000_000),
            mails_per_email: config.number("RATE_LIMIT_MAIL_PER_EMAIL", 3, 1..=1_000_000),
            clock: config.clock(),
            random: config.random(),
        }
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    match request.route.as_str() {
        "GET /v1/auth/identities" => list::list(deps, request).await,
        "POST /v1/auth/identities" => link::link(deps, request).await,
        "DELETE /v1/auth/identities/{kind}" => unlink::unlink(deps, request).await,
        _ => Err(unrouted(request)),
    }
}
