//! Every minute, and on demand — send the mail that waits: what was not taken at once, and what nobody tried yet.
//!
//! Safe to run twice, late, or beside itself: a mail has one holder at a time. One that ends between the sending and
//! the writing down sends its mail twice.

use std::time::Duration;

use serde::Serialize;
use shared::clock::Clock;
use shared::config::Config;
use shared::db::Db;
use shared::mail::{self, Fate, Sender};
use shared::metrics;
use shared::runtime::{Error, Invocation};
use tokio::time::Instant;

/// How long one mail may take.
const WITHIN: Duration = Duration::from_secs(10);
/// No mail is taken up when less than this is left.
const KEPT_BACK: Duration = Duration::from_secs(15);

pub struct Deps {
    db: Db,
    sender: Sender,
    clock: Clock,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        Self { db: Db::wire(config), sender: Sender::wire(config), clock: config.clock() }
    }
}

/// How many mails ended how.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct Report {
    pub sent: u64,
    /// They are tried again.
    pub waiting: u64,
    pub dead: u64,
}

pub async fn run(deps: &Deps, invocation: &Invocation) -> Result<Report, Error> {
    let until = Instant::from_std(invocation.ends_at);
    watch(deps).await?;
    let mut report = Report::default();
    while Instant::now() + KEPT_BACK < until {
        let connection = deps.db.connection_for_job().await?;
        let taken = deps.sender.take(connection.client()).await?;
        drop(connection);
        let Some(mail) = taken else { break };
        let fate = deps.sender.send(&mail, WITHIN).await;
        let connection = deps.db.connection_for_job().await?;
        deps.sender.end(connection.client(), &mail, &fate).await?;
        match fate {
            Fate::Sent => report.sent += 1,
            Fate::Waiting { .. } => report.waiting += 1,
            Fate::Dead { .. } => report.dead += 1,
        }
    }
    Ok(report)
}

/// Tells how much waits before anything is done about it.
async fn watch(deps: &Deps) -> Result<(), Error> {
    let connection = deps.db.connection_for_job().await?;
    let depth = mail::depth(connection.client(), deps.clock.now()).await?;
    metrics::level("MailsDue", depth.due);
    metrics::age("MailOldestSeconds", depth.oldest);
    Ok(())
}
