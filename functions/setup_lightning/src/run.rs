//! A setup is run for as long as a request may take, and its status told.

use std::time::{Duration, Instant};

use shared::db;
use shared::http::{ApiError, HeaderValue, Reply, StatusCode, header};
use shared::setup::status::{self, Status, Summary};
use shared::setup::{Claimed, Setup, SetupError, row};

use crate::{Asked, Deps};

const LOCATION: HeaderValue = HeaderValue::from_static("/v1/lightning/setup");
/// A step still under way so long after its run's end is left as a crash would leave it: API Gateway gives up after
/// 30 seconds.
const LAST_STEP: Duration = Duration::from_secs(6);
/// However far off the setup's next turn is, somebody may look at it before.
const ASK_AGAIN_WITHIN_SECONDS: i64 = 10;

/// Runs what was taken up, and answers with how the account's setup stands then: 202 while there is more to do.
pub async fn run(deps: &Deps, asked: &Asked<'_>, claimed: Option<Claimed>) -> Result<Reply, ApiError> {
    if let Some(claimed) = claimed {
        let run = deps.saga.run(claimed, Instant::now() + deps.run_for, asked.request.origin());
        match tokio::time::timeout(deps.run_for + LAST_STEP, Box::pin(run)).await {
            Ok(Ok(_) | Err(SetupError::LeaseLost)) | Err(_) => {}
            Ok(Err(error)) => return Err(error.into()),
        }
    }
    let (status, retry_after) = read(deps, asked).await?;
    Ok(match retry_after {
        Some(seconds) => Reply::json(StatusCode::ACCEPTED, &status)
            .with_header(header::LOCATION, LOCATION)
            .with_header(header::RETRY_AFTER, seconds),
        None => Reply::ok(&status),
    })
}

/// How the account's setup stands. Asking for it runs nothing.
pub async fn status(deps: &Deps, asked: &Asked<'_>) -> Result<Reply, ApiError> {
    let connection = deps.saga.db.connection().await?;
    deps.auth.sessions.count(connection.client(), &asked.bearer, asked.now).await?;
    drop(connection);
    let (status, retry_after) = read(deps, asked).await?;
    let reply = Reply::ok(&status);
    Ok(match retry_after {
        Some(seconds) => reply.with_header(header::RETRY_AFTER, seconds),
        None => reply,
    })
}

/// The status, and when to ask again if it will change by itself.
async fn read(deps: &Deps, asked: &Asked<'_>) -> Result<(Status, Option<HeaderValue>), ApiError> {
    let mut connection = deps.saga.db.connection().await?;
    let tx = connection.transaction().await?;
    // As of when the request came in: a token that ran out during its own run is not refused the outcome.
    let session = deps.auth.sessions.enter(&tx, &asked.bearer, asked.now).await?;
    let setup = row::find_of(&tx, session.user_id).await?;
    let status = match &setup {
        Some(setup) => status::of(&tx, setup).await?,
        None => Status::without_setup(deps.saga.switch.enabled),
    };
    db::commit(tx).await?;
    let retry_after = match (&setup, status.status) {
        (Some(setup), Summary::InProgress) => Some(seconds_to(deps, setup)),
        _ => None,
    };
    Ok((status, retry_after))
}

fn seconds_to(deps: &Deps, setup: &Setup) -> HeaderValue {
    let wait = setup.due_at - deps.saga.clock.now();
    HeaderValue::from(wait.whole_seconds().clamp(1, ASK_AGAIN_WITHIN_SECONDS))
}
