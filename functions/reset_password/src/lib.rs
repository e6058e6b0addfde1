//! `/v1/auth/password` — a new password for whoever reads the account's mailbox.
//!
//! | Route | What it does |
//! |---|---|
//! | `POST /v1/auth/password/forgot` | mails a token; answers the same whoever the address is |
//! | `POST /v1/auth/password/reset` | takes the token and the new password; nobody needs to be signed in |

mod reset;

use shared::breaches::Breaches;
use shared::clock::Clock;
use shared::config::Config;
use shared::db::Db;
use shared::http::by_mail::ByMail;
use shared::http::{ApiError, Reply, Request, unrouted};
use shared::one_time_token::Purpose;
use shared::random::Random;

pub struct Deps {
    db: Db,
    by_mail: ByMail,
    breaches: Breaches,
    clock: Clock,
    random: Random,
    per_address: u32,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            by_mail: ByMail::wire(config),
            breaches: Breaches::wire(config),
            clock: config.clock(),
            random: config.random(),
            per_address: config.number("RATE_LIMIT_SIGN_IN_PER_ADDRESS", 300, 1..=1_000_000),
        }
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    match request.route.as_str() {
        "POST /v1/auth/password/forgot" => deps.by_mail.ask(&deps.db, request, Purpose::ResetPassword).await,
        "POST /v1/auth/password/reset" => reset::reset(deps, request).await,
        _ => Err(unrouted(request)),
    }
}
