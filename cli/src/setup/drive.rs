use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use shared::audit::Origin;
use shared::setup::{Saga, Setup, SetupError, State, row, status};
use uuid::Uuid;

use super::progress::{say, shown};
use super::wiring::SIDE_BY_SIDE;
use super::words::{advice, at};
use crate::one_line;

/// Well within a lease, so that nobody takes a setup from us that only waits for its node.
const TURN: Duration = Duration::from_secs(30);
/// How often one that is in somebody else's hands is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A wait that is not worth a line.
const SHORT: Duration = Duration::from_secs(3);

/// How long setups are driven
#[derive(Debug, clap::Args)]
pub struct Patience {
    /// Give up after this long: what has not come to its end goes on by itself
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    within: u64,
}

impl Patience {
    pub fn until(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.within * 60)
    }
}

/// Drives setups to their end, several side by side, and says how each ended; returns those that are not finished.
pub async fn drive(
    saga: &Saga,
    setups: &[Uuid],
    patience: &Patience,
    origin: Origin<'_>,
) -> Result<Vec<Setup>> {
    let until = patience.until();
    let work =
        stream::iter(setups).map(|id| drive_one(saga, *id, until, origin)).buffer_unordered(SIDE_BY_SIDE);
    let ended: Vec<Setup> = shown(saga, setups, work.try_collect()).await??;
    Ok(ended.into_iter().filter(|setup| setup.state != State::Finished).collect())
}

/// Returns how the setup stands in the end. An error is one of the database.
async fn drive_one(saga: &Saga, id: Uuid, until: Instant, origin: Origin<'_>) -> Result<Setup> {
    let mut said = false;
    loop {
        let claimed = if Instant::now() < until { saga.take_up(Some(id), origin).await? } else { None };
        let Some(claimed) = claimed else {
            let setup = find(saga, id).await?;
            if setup.state != State::Running || Instant::now() >= until {
                return Ok(setup);
            }
            let wait = Duration::try_from(setup.due_at - saga.clock.now()).unwrap_or_default();
            if wait > SHORT && !said {
                let (address, due) = (&setup.address, at(setup.due_at));
                say(&format!("{address} waits until {due}: somebody has it, or its time has not come"));
                said = true;
            }
            tokio::time::sleep(wait.clamp(Duration::from_millis(10), LOOK)).await;
            continue;
        };
        said = false;
        match saga.run(claimed, until.min(Instant::now() + TURN), origin).await {
            Ok(setup) if setup.state != State::Running => return Ok(setup),
            Ok(_) | Err(SetupError::LeaseLost) => {}
            // One that broke off must not keep the others: somebody goes on with it when its lease is over.
            Err(error) => {
                let setup = find(saga, id).await?;
                say(&format!("{} broke off: {}", setup.address, one_line(&error.into())));
                return Ok(setup);
            }
        }
    }
}

async fn find(saga: &Saga, id: Uuid) -> Result<Setup> {
    let connection = saga.db.connection_for_job().await?;
    row::find(connection.client(), id).await?.with_context(|| format!("setup {id} is gone"))
}

/// Why a setup is not finished, and what to do next.
pub async fn why(saga: &Saga, setup: &Setup) -> Result<String> {
    let connection = saga.db.connection().await?;
    let steps = status::of(connection.client(), setup).await?.steps;
    let at = steps.into_iter().find(|step| step.name == setup.step.name());
    let code = at.and_then(|step| step.last_error_code);
    let Setup { address, step, .. } = setup;
    let step = step.name();
    Ok(match (setup.state, code) {
        (State::Running, Some(code)) => {
            format!("{address} is still at {step} ({code}) and goes on by itself: {}", advice(&code))
        }
        (State::Running, None) => format!("{address} is still at {step} and goes on by itself"),
        (_, Some(code)) => format!("{address} failed at {step} with {code}: {}", advice(&code)),
        (state, None) => format!("{address} is {} at {step}", state.name()),
    })
}

/// [`why`], of each, on standard error.
pub async fn say_why(saga: &Saga, unfinished: &[Setup]) -> Result<()> {
    for setup in unfinished {
        say(&why(saga, setup).await?);
    }
    Ok(())
}
