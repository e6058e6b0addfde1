//! The run of `cargo xtask bench webhooks`, and its order.
//!
//! - `ground`       databases, and what the contenders find in their environment
//! - `events`       deliveries of `payment_intent.succeeded`, each of a payment that waits
//! - `contender`    our function, Express and `FastAPI` at work
//! - `same_rows`    that they run the same statements and leave the same rows
//! - `alone`        one delivery at a time: latency and CPU
//! - `rate`         twenty at a time, beside `pgbench` with the same statements (`script`)
//! - `curve`        what an event costs with ten thousand to ten million rows in the inbox (`fill`)
//! - `queue`        what waits and what is looked up, at the same sizes
//! - `report`       the tables and the verdicts (`curve_report`)

mod alone;
mod contender;
mod curve;
mod curve_report;
mod events;
mod fill;
mod ground;
mod pgbench;
mod queue;
mod rate;
mod report;
mod same_rows;
mod script;

use crate::throughput::{CLIENTS, Protocol};
use crate::{binaries, document, machine, peers};
use anyhow::Result;
use contender::{Contender, Work};
use curve::Point;
use events::Batch;
use ground::Ground;
use rate::Order;
use report::{Report, What};
pub use script::without_types;
use script::{Recorded, Script};
use std::time::Duration;
use testing::postgres::{Durability, Server, StartOptions};

#[derive(clap::Args)]
pub struct Options {
    /// Small counts and at most a million rows: whether it runs, not how fast
    #[arg(long)]
    quick: bool,
    /// Measure the binaries as they were last built
    #[arg(long)]
    as_built: bool,
    /// Put the numbers into docs/measurements.md
    #[arg(long)]
    record: bool,
    /// Only this part of it, such as `curve`, for somebody who works on it
    #[arg(long, value_enum)]
    only: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Alone,
    Rate,
    Curve,
}

/// There are deliveries for so many a second.
const MOST_PER_SECOND: u64 = 2_500;
/// Copies are of so many events.
const COPIED: u64 = 2_000;

/// How often, how many, and how long.
struct Counts {
    requests: usize,
    warm_up: usize,
    rounds: usize,
    rate: Duration,
    rate_rounds: usize,
    sizes: &'static [u64],
    explained: u64,
    asked: u64,
}

impl Counts {
    const FULL: Self = Self {
        requests: 1_000,
        warm_up: 500,
        rounds: 3,
        rate: Duration::from_secs(5),
        rate_rounds: 3,
        sizes: &[10_000, 100_000, 1_000_000, 10_000_000],
        explained: 30,
        asked: 40,
    };
    const QUICK: Self = Self {
        requests: 300,
        warm_up: 100,
        rounds: 1,
        rate: Duration::from_secs(3),
        rate_rounds: 1,
        sizes: &[10_000, 100_000, 1_000_000],
        explained: 10,
        asked: 10,
    };
}

/// Numbers nobody has used yet: each names one payment.
struct Numbers(u64);

impl Numbers {
    fn take(&mut self, count: u64) -> std::ops::Range<u64> {
        let first = self.0;
        self.0 += count;
        first..self.0
    }
}

pub async fn run(options: &Options) -> Result<()> {
    let counts = if options.quick { Counts::QUICK } else { Counts::FULL };
    if !options.as_built {
        say("building the function and the one that does nothing");
        binaries::build_webhooks().await?;
    }
    say("installing the peers");
    peers::install().await?;
    say("starting Postgres (fsync on) and the sandbox");
    let started = StartOptions { durability: Durability::Real, ..StartOptions::for_tests("bench") };
    let server = tokio::task::spawn_blocking(|| Server::start(started)).await??;
    let (ground, mut report, mut numbers) =
        (Ground::on(&server).await?, Report::default(), Numbers(10_000_000));

    say("checking that everybody runs the same statements and leaves the same rows");
    let recorded = script::record(&ground, &server, numbers.take(10).start).await?;
    same_rows::check(&ground, &server, numbers.take(10).start, &recorded).await?;
    ground.history().await?;

    let wanted = |part| options.only.is_none_or(|only| only == part);
    if wanted(Part::Alone) {
        one_at_a_time(&ground, &counts, &mut numbers, &mut report).await?;
    }
    if wanted(Part::Rate) {
        twenty_at_a_time(&ground, &recorded, &counts, &mut numbers, &mut report).await?;
    }
    if wanted(Part::Curve) {
        by_size(&server, &recorded[0], &counts, &mut report).await?;
    }
    let text = report.render(if options.quick { " --quick" } else { "" })?;
    println!("{text}");
    document::write("webhooks", &text, options.record && !options.quick && options.only.is_none())?;
    drop((report, ground));
    server.stop()
}

/// Each in turn, so that a busy moment is everybody's.
async fn one_at_a_time(
    ground: &Ground,
    counts: &Counts,
    numbers: &mut Numbers,
    report: &mut Report,
) -> Result<()> {
    phase("one at a time", report).await?;
    let mut runs = Vec::new();
    for _ in 0..counts.rounds {
        for contender in Contender::ALL {
            let batch = Batch::new(ground, numbers.take((counts.requests + counts.warm_up) as u64)).await?;
            for what in [What::New, What::Copies, What::Nothing] {
                let work = if what == What::Nothing { Work::Nothing } else { Work::Webhook };
                let deliveries = if what == What::New { batch.deliveries.clone() } else { batch.again()? };
                ground.settle().await?;
                let warm = alone::measure(ground, contender, work, &deliveries, counts.warm_up).await?;
                runs.push((what, contender, warm));
            }
        }
    }
    for contender in Contender::ALL {
        for what in [What::New, What::Copies, What::Nothing] {
            let its = runs.iter().filter(|run| run.0 == what && run.1 == contender);
            let its: Vec<_> = its.map(|run| run.2).collect();
            report.alone.push((what, contender, crate::single::middle(&its)));
        }
    }
    Ok(())
}

async fn twenty_at_a_time(
    ground: &Ground,
    [new, copy]: &[Recorded; 2],
    counts: &Counts,
    numbers: &mut Numbers,
    report: &mut Report,
) -> Result<()> {
    let time = counts.rate;
    for what in [What::New, What::Copies] {
        phase(&format!("{CLIENTS} at a time, {}", what.name()), report).await?;
        let (mut rates, mut extended, mut prepared) =
            (vec![Vec::new(); Contender::ALL.len()], Vec::new(), Vec::new());
        for _ in 0..counts.rate_rounds {
            for (contender, rates) in Contender::ALL.into_iter().zip(&mut rates) {
                let deliveries = if what == What::New {
                    let batch = Batch::new(ground, numbers.take(time.as_secs() * MOST_PER_SECOND)).await?;
                    (batch.deliveries, Order::Once)
                } else {
                    let batch = Batch::new(ground, numbers.take(COPIED)).await?;
                    let mut once = contender::Crew::start(ground, contender, Work::Webhook, 1).await?;
                    for delivery in &batch.deliveries {
                        once.lanes[0].send(delivery).await?;
                    }
                    once.stop().await;
                    (batch.again()?, Order::Round)
                };
                rates.push(rate::measure(ground, contender, deliveries, time).await?);
            }
            for (protocol, runs) in [(Protocol::Extended, &mut extended), (Protocol::Prepared, &mut prepared)]
            {
                let (script, first, stride) = beside(ground, (what, new, copy), time, numbers).await?;
                runs.extend(pgbench::run(ground, (&script, protocol), (first, stride), time).await?);
            }
        }
        report
            .rates
            .extend(Contender::ALL.into_iter().zip(rates).map(|(contender, runs)| (what, contender, runs)));
        report.extended.push((what, extended));
        report.prepared.push((what, prepared));
    }
    Ok(())
}

/// What `pgbench` runs, and the numbers it has: payments that wait, or events that are there.
async fn beside(
    ground: &Ground,
    (what, new, copy): (What, &Recorded, &Recorded),
    time: Duration,
    numbers: &mut Numbers,
) -> Result<(Script, u64, u64)> {
    if what == What::New {
        let stride = time.as_secs() * MOST_PER_SECOND / CLIENTS;
        let mine = numbers.take(CLIENTS * stride);
        ground.payments(&mine).await?;
        let each = "\\set i :i + 1\n\\set n :base + :client_id * :stride + :i";
        return Ok((new.script(ground, "webhooks-new.sql", each).await?, mine.start, stride));
    }
    let mine = numbers.take(COPIED);
    ground.payments(&mine).await?;
    new.run(ground, mine.clone()).await?;
    let any = format!("\\set n random({}, {})", mine.start, mine.end - 1);
    Ok((copy.script(ground, "webhooks-copies.sql", &any).await?, mine.start, COPIED))
}

async fn by_size(server: &Server, recorded: &Recorded, counts: &Counts, report: &mut Report) -> Result<()> {
    let mut points = Vec::new();
    for rows in counts.sizes {
        phase(&format!("writing {rows} events"), report).await?;
        points.push(Point::new(server, *rows).await?);
    }
    phase("a new event, by the size of the inbox", report).await?;
    for _ in 0..counts.rounds {
        for point in &mut points {
            point.round(counts.requests, counts.warm_up).await?;
        }
    }
    for _ in 0..counts.explained {
        for point in &mut points {
            point.explain(recorded).await?;
        }
    }
    phase("what waits and what is looked up", report).await?;
    report.asked = queue::ask(&points, counts.asked).await?;
    if let Some(largest) = points.last() {
        report.plans = queue::plans(largest, server).await?;
    }
    report.points = points;
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
