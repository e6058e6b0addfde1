//! The run of `cargo xtask bench setup`, and its order.
//!
//! - `ground`    databases, the sandbox on its own thread, sagas wired as their functions wire them
//! - `commits`   one setup alone: what it costs
//! - `rate`      several at once
//! - `peer`      `pgbench` beside it: the same statements (`recording`), and plain INSERTs
//! - `resumer`   a queue of due setups beside many that are finished (`rows`), and how Postgres goes about it (`plans`)
//! - `rotation`  sealed values moved to a newer key, alone and beside requests
//! - `report`    the tables and the verdicts

mod commits;
mod ground;
mod peer;
mod plans;
mod rate;
pub mod recording;
mod report;
mod resumer;
mod rotation;
mod rows;

use crate::{document, machine, world};
use anyhow::Result;
use ground::Ground;
use report::{QueueRow, RateRow, Report, RotationRow};
use resumer::{Queue, Seen};
use rotation::Vault;
use shared::setup::NodeSource;
use std::time::Duration;
use testing::postgres::{Durability, Server, StartOptions};

#[derive(clap::Args)]
pub struct Options {
    /// Small counts: whether it runs, not how fast
    #[arg(long)]
    quick: bool,
    /// Put the numbers into docs/measurements.md
    #[arg(long)]
    record: bool,
    /// Only this part of it, such as `rate`, for somebody who works on it
    #[arg(long, value_enum)]
    only: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Commits,
    Rate,
    Resumer,
    Rotation,
}

/// Users are there for so many setups a second.
const MOST_PER_SECOND: u64 = 4_000;

/// How often, how many, and how long.
struct Counts {
    setups: u64,
    clients: &'static [u64],
    rate: Duration,
    rate_rounds: usize,
    due: &'static [u64],
    finished: [u64; 2],
    looks: usize,
    takes: usize,
    queue_rounds: usize,
    sealed: u64,
    rotation_rounds: usize,
}

impl Counts {
    const FULL: Self = Self {
        setups: 500,
        clients: &[8, 16, 32],
        rate: Duration::from_secs(8),
        rate_rounds: 3,
        due: &[1_000, 10_000, 100_000],
        finished: [10_000, 1_000_000],
        looks: 40,
        takes: 200,
        queue_rounds: 3,
        sealed: 100_000,
        rotation_rounds: 2,
    };
    const QUICK: Self = Self {
        setups: 100,
        clients: &[8, 16, 32],
        rate: Duration::from_secs(4),
        rate_rounds: 1,
        due: &[1_000, 10_000],
        finished: [1_000, 20_000],
        looks: 10,
        takes: 50,
        queue_rounds: 1,
        sealed: 5_000,
        rotation_rounds: 1,
    };
}

pub async fn run(options: &Options) -> Result<()> {
    let counts = if options.quick { Counts::QUICK } else { Counts::FULL };
    say("starting Postgres (fsync on) and the sandbox");
    let started = StartOptions { durability: Durability::Real, ..StartOptions::for_tests("bench") };
    let server = tokio::task::spawn_blocking(|| Server::start(started)).await??;
    let mut report = Report::default();
    let wanted = |part| options.only.is_none_or(|only| only == part);
    if wanted(Part::Commits) || wanted(Part::Rate) {
        let ground = Ground::on(&server).await?;
        let postmaster = world::postmaster(&ground.admin).await?;
        phase("one setup at a time", &mut report).await?;
        let of = |source, first| commits::measure(&ground, postmaster, source, (first, counts.setups));
        report.ones.push(of(NodeSource::Voltage, 1).await?);
        report.ones.push(of(NodeSource::Registered, 500_000).await?);
        if wanted(Part::Rate) {
            rates(&ground, (&server, postmaster), &counts, &mut report).await?;
        }
    }
    if wanted(Part::Resumer) {
        queues(&server, &counts, &mut report).await?;
    }
    if wanted(Part::Rotation) {
        rotations(&server, &counts, &mut report).await?;
    }
    let text = report.render(if options.quick { " --quick" } else { "" })?;
    println!("{text}");
    document::write("setup", &text, options.record && !options.quick && options.only.is_none())?;
    server.stop()
}

/// Ours and `pgbench` in turn, so that a busy moment is everybody's.
async fn rates(
    ground: &Ground,
    (server, postmaster): (&Server, u32),
    counts: &Counts,
    report: &mut Report,
) -> Result<()> {
    let written = report.ones.first().map_or((0, 0), |one| (one.rows, one.log_bytes));
    let plain = peer::plain(ground, commits::needed(NodeSource::Voltage), written).await?;
    let same = recording::script(ground, server, 900_000).await?;
    let mut first = 1_000_000;
    for clients in counts.clients {
        phase(&format!("{clients} setups at once"), report).await?;
        let mut row = RateRow { clients: *clients, ..RateRow::default() };
        let stride = counts.rate.as_secs() * MOST_PER_SECOND / clients + 50;
        let numbers = |first: &mut u64| {
            let from = *first;
            *first += clients * stride;
            (from, stride)
        };
        for _ in 0..counts.rate_rounds {
            ground.empty().await?;
            let mine = numbers(&mut first);
            row.ours.push(rate::ours(ground, postmaster, *clients, mine, counts.rate).await?);
            ground.empty().await?;
            let mine = numbers(&mut first);
            ground.users(mine.0..mine.0 + clients * stride).await?;
            row.same.push(peer::run(ground, postmaster, (&same, *clients), mine, counts.rate).await?);
            let mine = (first, stride);
            row.plain.push(peer::run(ground, postmaster, (&plain, *clients), mine, counts.rate).await?);
        }
        report.rates.push(row);
    }
    Ok(())
}

/// Two databases in turn, one with few finished setups and one with many.
async fn queues(server: &Server, counts: &Counts, report: &mut Report) -> Result<()> {
    say("writing down setups that are finished");
    let [few, many] = counts.finished;
    let mut queues = [
        Queue::new(Ground::on(server).await?, few).await?,
        Queue::new(Ground::on(server).await?, many).await?,
    ];
    for due in counts.due {
        phase(&format!("the resumer, {due} due"), report).await?;
        let mut rows = queues.each_ref().map(|queue| QueueRow::new(*due, queue.finished));
        for round in 0..=counts.queue_rounds {
            let mut seen = [Seen::default(), Seen::default()];
            take_turns(&mut queues, &mut seen, *due, counts).await?;
            // The first connects, and finds nothing in memory.
            if round > 0 {
                for (row, seen) in rows.iter_mut().zip(seen) {
                    row.add(seen);
                }
            }
        }
        report.queues.push(rows);
    }
    let [_, many] = queues;
    report.plans = plans::read(&many.ground, server).await?;
    Ok(())
}

/// Each in turn, so that a busy moment is both's.
async fn take_turns(queues: &mut [Queue; 2], seen: &mut [Seen; 2], due: u64, counts: &Counts) -> Result<()> {
    for queue in &mut *queues {
        queue.fill(due).await?;
    }
    for _ in 0..counts.looks {
        for (queue, seen) in queues.iter().zip(&mut *seen) {
            queue.look(seen).await?;
        }
    }
    for _ in 0..counts.takes {
        for (queue, seen) in queues.iter().zip(&mut *seen) {
            queue.take_up(seen).await?;
        }
    }
    for (queue, seen) in queues.iter().zip(seen) {
        queue.work(seen).await?;
    }
    Ok(())
}

async fn rotations(server: &Server, counts: &Counts, report: &mut Report) -> Result<()> {
    say("sealing values to be moved");
    let mut vault = Vault::new(Ground::on(server).await?, counts.sealed).await?;
    phase("rotation", report).await?;
    let mut row = RotationRow { rows: counts.sealed, ..RotationRow::default() };
    for _ in 0..counts.rotation_rounds {
        row.alone.push(vault.rotate(false).await?.0);
        let (rate, requests) = vault.rotate(true).await?;
        row.beside.push(rate);
        row.requests.push(requests);
    }
    report.rotation = Some(row);
    Ok(())
}

async fn phase(name: &str, report: &mut Report) -> Result<()> {
    let (load, others) = (machine::load_average(), machine::busy_with_others().await?);
    say(&format!("{name} (load {load}, {:.0} % of the machine busy with others)", others * 100.0));
    report.phases.push((name.to_owned(), load, others));
    Ok(())
}

fn say(text: &str) {
    eprintln!("bench: {text}");
}
