//! The run of `cargo xtask bench accounts`, and its order.
//!
//! - `ground`     a database, and what the contenders find in their environment
//! - `people`     a thousand accounts, each with a session
//! - `work`       the four endpoints as requests and answers
//! - `contender`  our functions behind the gateway, Express with Prisma, Express with `pg`, `FastAPI`
//! - `same_rows`  that they answer alike and leave the same rows
//! - `same_statements`  that they run the same statements
//! - `cold`       from the start to the first answer
//! - `load`       so many connections at a time, in a closed loop and in an open one
//! - `argon`      what a password's verification costs alone
//! - `report`     the tables and the verdicts

mod argon;
mod cold;
mod contender;
mod ground;
mod load;
mod people;
mod report;
mod same_rows;
mod same_statements;
mod work;

use crate::{binaries, document, machine, peers};
use anyhow::Result;
use contender::{Contender, Crew};
use ground::Ground;
use load::{Loop, Run, Settled};
use people::{PEOPLE, Person};
use report::{Report, Row};
use shared::fresh::SigningAlgorithm;
use std::time::Duration;
use testing::postgres::{Durability, Server, StartOptions};
use work::Work;

#[derive(clap::Args)]
pub struct Options {
    /// Small counts: whether it runs, not how fast
    #[arg(long)]
    quick: bool,
    /// Measure the binaries as they were last built
    #[arg(long)]
    as_built: bool,
    /// Put the numbers into docs/measurements.md
    #[arg(long)]
    record: bool,
    /// Only this part of it, for somebody who works on it
    #[arg(long, value_enum)]
    only: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// That all do the same
    Same,
    Cold,
    Alone,
    Load,
}

/// Connections to Postgres of each contender, however many of its callers' it has.
const POOL: u64 = 20;
/// Callers' connections in the closed loop; of the last but one, half the rate is the open loop's.
const CLOSED: [usize; 3] = [20, 100, 1_000];
const OPEN: [usize; 2] = [100, 1_000];

/// How often, and how long.
struct Counts {
    rounds: usize,
    cold_starts: usize,
    time: Duration,
    /// Of what takes a core's fiftieth of a second.
    login: Duration,
    /// Of the same with a thousand in the queue.
    login_queue: Duration,
    hashes: usize,
}

impl Counts {
    const FULL: Self = Self {
        rounds: 3,
        cold_starts: 15,
        time: Duration::from_secs(4),
        login: Duration::from_secs(10),
        login_queue: Duration::from_secs(30),
        hashes: 101,
    };
    const QUICK: Self = Self {
        rounds: 1,
        cold_starts: 2,
        time: Duration::from_secs(1),
        login: Duration::from_secs(3),
        login_queue: Duration::from_secs(18),
        hashes: 31,
    };

    fn time(&self, work: Work, connections: usize) -> Duration {
        match (work, connections) {
            (Work::Login, 1) => self.login / 2,
            (Work::Login, 1_000) => self.login_queue,
            (Work::Login, _) => self.login,
            // The first answers come late, for all have asked at once.
            (_, 1_000) => self.time * 3,
            _ => self.time,
        }
    }
}

pub async fn run(options: &Options) -> Result<()> {
    let counts = if options.quick { Counts::QUICK } else { Counts::FULL };
    if !options.as_built {
        say("building the functions, the one that does nothing, and the bare programs");
        binaries::build_accounts().await?;
    }
    say("installing the peers");
    peers::install().await?;
    peers::install_prisma().await?;
    say("starting Postgres (fsync on) and the sandbox");
    let started = StartOptions { durability: Durability::Real, ..StartOptions::for_tests("bench") };
    let server = tokio::task::spawn_blocking(|| Server::start(started)).await??;
    let ground = Ground::on(&server).await?;
    people::accounts(&ground).await?;

    let mut report = Report::default();
    say("checking that everybody runs the same statements, answers alike and leaves the same rows");
    same_statements::check(&ground, &server).await?;
    same_rows::check(&ground).await?;
    let wanted = |part| options.only.is_none_or(|only| only == part);
    if wanted(Part::Cold) {
        cold_starts(&ground, &counts, &mut report).await?;
    }
    for round in 1..=counts.rounds {
        if wanted(Part::Alone) {
            phase(&format!("one at a time, round {round}"), &mut report).await?;
            report.argon.push(argon::measure(&ground, counts.hashes).await?);
            for contender in Contender::ALL {
                one_at_a_time(&ground, contender, &counts, &mut report).await?;
            }
        }
        if wanted(Part::Load) {
            phase(&format!("many at a time, round {round}"), &mut report).await?;
            for contender in Contender::ALL {
                many_at_a_time(&ground, contender, &counts, &mut report).await?;
            }
        }
    }
    if wanted(Part::Alone) {
        phase("one at a time, RS256", &mut report).await?;
        with_rsa(&ground, &counts, &mut report).await?;
    }
    let text = report.render(if options.quick { " --quick" } else { "" })?;
    println!("{text}");
    document::write("accounts", &text, options.record && options.only.is_none())?;
    drop(ground);
    server.stop()
}

/// One of each in turn, so that a busy moment is everybody's.
async fn cold_starts(ground: &Ground, counts: &Counts, report: &mut Report) -> Result<()> {
    phase("cold starts", report).await?;
    let mut people = people::signed_in(ground, 1).await?;
    for _ in 0..counts.cold_starts {
        for contender in Contender::ALL {
            for work in Work::ALL {
                let took = cold::start(ground, contender, work, &mut people[0]).await?;
                report.cold.push((work, contender, took));
            }
        }
    }
    Ok(())
}

async fn one_at_a_time(
    ground: &Ground,
    contender: Contender,
    counts: &Counts,
    report: &mut Report,
) -> Result<()> {
    let mut people = people::signed_in(ground, 1).await?;
    for work in Work::ALL {
        let load = load::alone(ground, (contender, work), &mut people, counts.time(work, 1)).await?;
        report.alone.push(Row { work, contender, load });
    }
    Ok(())
}

async fn many_at_a_time(
    ground: &Ground,
    contender: Contender,
    counts: &Counts,
    report: &mut Report,
) -> Result<()> {
    let mut people = people::signed_in(ground, PEOPLE).await?;
    let crew = Crew::start(ground, contender, &Work::MEASURED, POOL).await?;
    for work in Work::MEASURED {
        let run = Run { ground, crew: &crew, contender, work, pool: POOL };
        let measure = async |people: &mut [Person], connections: usize, how: Loop| {
            run.measure(&mut people[..connections], how, counts.time(work, connections), Settled::AfterWarmUp)
                .await
        };
        let [few, some, many] = CLOSED;
        for connections in [few, some] {
            let load = measure(&mut people, connections, Loop::Closed).await?;
            report.closed.push(Row { work, contender, load });
        }
        let capacity = report.closed.last().map_or(f64::NAN, |row| row.load.per_second);
        for connections in OPEN {
            // No longer than for the others: nobody waits in a queue here.
            let time = counts.time(work, some);
            let how = Loop::Open(capacity / 2.0);
            let load = run.measure(&mut people[..connections], how, time, Settled::AfterWarmUp).await?;
            report.open.push(Row { work, contender, load });
        }
        // Last, because some who log in are given up on.
        let load = measure(&mut people, many, Loop::Closed).await?;
        report.closed.push(Row { work, contender, load });
    }
    crew.stop().await;
    Ok(())
}

/// What a slower signature makes of it.
async fn with_rsa(ground: &Ground, counts: &Counts, report: &mut Report) -> Result<()> {
    ground.sign_with(SigningAlgorithm::Rs256).await?;
    let works = [Work::Me, Work::Refresh];
    for contender in Contender::ALL {
        let mut people = people::signed_in(ground, 1).await?;
        let crew = Crew::start(ground, contender, &works, 1).await?;
        for work in works {
            let run = Run { ground, crew: &crew, contender, work, pool: 1 };
            let load = run.measure(&mut people, Loop::Closed, counts.time, Settled::AfterWarmUp).await?;
            report.rsa.push(Row { work, contender, load });
        }
        crew.stop().await;
    }
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
