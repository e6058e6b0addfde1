//! `/v1/auth/discord` — signing in with Discord, and linking it.
//!
//! | Route | What it does |
//! |---|---|
//! | `GET /v1/auth/discord/start` | sends the browser to Discord, with a state and a cookie |
//! | `GET /v1/auth/discord/callback` | turns what it comes back with into a session, or a linked identity |
//!
//! A sign-in is bound to the browser that began it (the cookie), comes back once (the state), and only its beginner can
//! use the code (PKCE). Nobody is ever sent to an address that is not on the operator's list.

mod callback;
mod cookie;
mod start;

use shared::clock::Clock;
use shared::config::Config;
use shared::db::Db;
use shared::discord::Discord;
use shared::http::auth::RecentAuthenticator;
use shared::http::limit::per_address;
use shared::http::vouched::Vouched;
use shared::http::{ApiError, Reply, Request, sign_in_not_configured, unrouted};
use shared::random::Random;
use shared::rate_limit::Limit;
use shared::upstream::Upstream;

pub struct Deps {
    db: Db,
    auth: RecentAuthenticator,
    vouched: Vouched,
    discord: Option<Discord>,
    per_address: u32,
    clock: Clock,
    random: Random,
}

impl Deps {
    /// Wires, beside what its parts do, `RATE_LIMIT_SIGN_IN_PER_ADDRESS` (300).
    pub fn wire(config: &mut Config) -> Self {
        let upstream = Upstream::wire(config);
        Self {
            db: Db::wire(config),
            auth: RecentAuthenticator::wire(config),
            vouched: Vouched::wire(config),
            discord: Discord::wire(config, &upstream),
            per_address: config.number("RATE_LIMIT_SIGN_IN_PER_ADDRESS", 300, 1..=1_000_000),
            clock: config.clock(),
            random: config.random(),
        }
    }

    fn discord(&self) -> Result<&Discord, ApiError> {
        self.discord.as_ref().ok_or_else(|| sign_in_not_configured("discord"))
    }

    fn limit(&self, request: &Request) -> Limit {
        per_address("discord_oauth", request, self.per_address)
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    match request.route.as_str() {
        "GET /v1/auth/discord/start" => start::start(deps, request).await,
        "GET /v1/auth/discord/callback" => callback::callback(deps, request).await,
        _ => Err(unrouted(request)),
    }
}
