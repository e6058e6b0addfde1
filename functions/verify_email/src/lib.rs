//! `/v1/auth/email` — the proof that a mailbox is theirs: taken, and mailed once more.
//!
//! | Route | What it does |
//! |---|---|
//! | `POST /v1/auth/email/verify` | takes the token that was mailed; who links an address with it is signed in |
//! | `POST /v1/auth/email/resend` | mails another one; answers the same whoever the address is |

mod verify;

use shared::clock::Clock;
use shared::config::Config;
use shared::db::Db;
use shared::http::auth::Authenticator;
use shared::http::by_mail::ByMail;
use shared::http::{ApiError, Reply, Request, unrouted};
use shared::one_time_token::Purpose;

pub struct Deps {
    db: Db,
    auth: Authenticator,
    by_mail: ByMail,
    clock: Clock,
    per_address: u32,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self {
            db: Db::wire(config),
            auth: Authenticator::wire(config),
            by_mail: ByMail::wire(config),
            clock: config.clock(),
            per_address: config.number("RATE_LIMIT_SIGN_IN_PER_ADDRESS", 300, 1..=1_000_000),
        }
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    match request.route.as_str() {
        "POST /v1/auth/email/resend" => deps.by_mail.ask(&deps.db, request, Purpose::VerifyEmail).await,
        "POST /v1/auth/email/verify" => verify::verify(deps, request).await,
        _ => Err(unrouted(request)),
    }
}
