//! Every hour, and on demand — find what no webhook told: go through Stripe's own list of events, and ask about every
//! BTCPay invoice that is not settled.
//!
//! What is found goes through the same inbox as a webhook, so that whichever comes first is the one that counts.

use std::time::Duration;

use serde::Serialize;
use shared::config::Config;
use shared::metrics;
use shared::runtime::{Error, Invocation};
use shared::webhook::{Processor, reconcile};
use tokio::time::Instant;

const LAST_WORDS: Duration = Duration::from_secs(10);

pub struct Deps {
    processor: Processor,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { processor: Processor::wire(config) }
    }
}

#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Report {
    pub stripe: Part,
    pub btcpay: Part,
}

/// What was gone through at one provider.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Part {
    pub seen: u64,
    /// Of these, what no webhook had told.
    pub found: u64,
    /// What could not be asked about. It is asked about again.
    pub failed: u64,
}

impl From<reconcile::Tally> for Part {
    fn from(tally: reconcile::Tally) -> Self {
        Self { seen: tally.seen, found: tally.found, failed: tally.failed }
    }
}

pub async fn run(deps: &Deps, invocation: &Invocation) -> Result<Report, Error> {
    let until = Instant::from_std(invocation.ends_at) - LAST_WORDS;
    let half = Instant::now() + until.saturating_duration_since(Instant::now()) / 2;
    // Invoices first: somebody waits for those. However many there are, Stripe has its half of the time.
    let btcpay = reconcile::btcpay(&deps.processor, half).await?;
    let stripe = reconcile::stripe(&deps.processor, until).await?;
    reconcile::silent_accounts(&deps.processor).await?;
    metrics::add("PaymentsReconciled", btcpay.found + stripe.found);
    metrics::add("ReconcileFailed", btcpay.failed + stripe.failed);
    Ok(Report { stripe: stripe.into(), btcpay: btcpay.into() })
}
