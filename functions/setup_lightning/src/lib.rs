//! `POST /v1/lightning/setup`, `GET /v1/lightning/setup`, `POST /v1/lightning/setup/retry`, `POST /v1/lightning/setup/handover` — a store and a node for the user, connected; how that stands; the wallet's seed, once.
//!
//! What is asked for is committed before anything is called, and a run of `shared::setup` goes on from there for as
//! long as a request may take. `resume_lightning_setups` takes up what is left.

mod begin;
mod handover;
mod retry;
mod run;

use std::time::Duration;

use shared::config::Config;
use shared::db;
use shared::http::auth::{self, Bearer, NodeAuthenticator};
use shared::http::{ApiError, Method, Reply, Request, limit};
use shared::rate_limit::Limit;
use shared::setup::{Saga, WalletAccess};
use time::OffsetDateTime;

pub struct Deps {
    saga: Saga,
    auth: NodeAuthenticator,
    run_for: Duration,
    per_user: u32,
}

impl Deps {
    /// Wires the saga, `SETUP_RUN_SECONDS` (20), after which no step is begun, who may ask, and how often:
    /// `RATE_LIMIT_SETUPS_PER_USER`, in a minute.
    pub fn wire(config: &mut Config) -> Self {
        Self {
            saga: Saga::wire(config, WalletAccess::Write),
            auth: NodeAuthenticator::wire(config),
            run_for: config.seconds("SETUP_RUN_SECONDS", 20, 1..=22),
            per_user: config.number("RATE_LIMIT_SETUPS_PER_USER", 30, 1..=1_000_000),
        }
    }
}

/// A request by somebody who says who they are.
struct Asked<'a> {
    request: &'a Request,
    bearer: Bearer<'a>,
    now: OffsetDateTime,
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let asked = Asked { request, bearer: auth::bearer(request)?, now: deps.saga.clock.now() };
    match request.path.rsplit('/').next() {
        Some("retry") => {
            count(deps, &asked).await?;
            retry::retry(deps, &asked).await
        }
        Some("handover") => handover::hand_over(deps, &asked).await,
        _ if request.method == Method::GET => run::status(deps, &asked).await,
        _ => {
            count(deps, &asked).await?;
            begin::begin(deps, &asked).await
        }
    }
}

/// Every one of these may call providers. By itself, so that a request that fails is counted all the same.
async fn count(deps: &Deps, asked: &Asked<'_>) -> Result<(), ApiError> {
    let mut connection = deps.saga.db.connection().await?;
    let (tx, session) = deps.auth.sessions.begin(&mut connection, &asked.bearer, asked.now).await?;
    let subject = session.user_id.to_string();
    limit::check(&tx, &[Limit::new("setup_lightning", &subject, deps.per_user)], asked.now).await?;
    Ok(db::commit(tx).await?)
}
