//! The run: what is measured, how often, in which order.

use crate::report::{ColdRow, Report, ThroughputRow, WarmRow};
use crate::script::{STRIDE, Script};
use crate::single::{self, Cold};
use crate::throughput::{self, CLIENTS, Protocol};
use crate::world::{Runtime, World};
use crate::{binaries, document, machine, peers, same_work, seed};
use anyhow::{Context, Result};
use shared::db::roles::Role;
use shared::fresh::SigningAlgorithm;
use std::time::Duration;
use testing::deployment::{self, SECRET_PREFIX};

const CREATE: &str = "create_challenge";
const VERIFY: &str = "verify_lightning_signature";
const NOTHING: &str = "do_nothing";

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
}

/// How often, and how long.
struct Counts {
    requests: usize,
    warm_up: usize,
    rounds: usize,
    cold_starts: usize,
    throughput: Duration,
    throughput_rounds: u64,
}

impl Counts {
    const FULL: Self = Self {
        requests: 2_000,
        warm_up: 500,
        rounds: 3,
        cold_starts: 25,
        throughput: Duration::from_secs(10),
        throughput_rounds: 3,
    };
    const QUICK: Self = Self {
        requests: 400,
        warm_up: 100,
        rounds: 1,
        cold_starts: 5,
        throughput: Duration::from_secs(3),
        throughput_rounds: 1,
    };
}

/// Numbers nobody has used yet: each names one challenge.
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
    let mut report = Report::default();
    if !options.as_built {
        say("building the functions, the function that does nothing, and the bare programs");
        binaries::build().await?;
    }
    say("installing the peers");
    peers::install().await?;
    say("starting Postgres (fsync on) and the sandbox");
    let world = World::start().await?;
    seed::accounts(&world).await?;
    let mut numbers = Numbers(10_000_000);

    say("checking that everybody runs the same statements");
    // Ours runs first and publishes the key that the peers sign with.
    same_work::check(&world, numbers.take(100).start).await?;

    cold_starts(&world, &counts, &mut numbers, &mut report).await?;
    warm(&world, &counts, &mut numbers, &mut report).await?;
    throughput(&world, &counts, &mut numbers, &mut report).await?;

    let text = report.render(if options.quick { " --quick" } else { "" })?;
    println!("{text}");
    document::write("signin", &text, options.record && !options.quick)?;
    world.stop()
}

async fn cold_starts(
    world: &World,
    counts: &Counts,
    numbers: &mut Numbers,
    report: &mut Report,
) -> Result<()> {
    phase("cold starts", report).await?;
    let password = world.db.passwords.get(&Role::Auth).context("no password")?;
    let url =
        deployment::sibling(&world.server.admin_url(), &world.db.name, Some((Role::Auth.name(), password)))?;
    let secret = format!("{SECRET_PREFIX}/database/auth");
    let (mut connects, mut reads) = (Vec::new(), Vec::new());
    let mut starts: Vec<(Runtime, &str, Vec<Cold>)> = Runtime::ALL
        .into_iter()
        .flat_map(|r| [NOTHING, CREATE, VERIFY].map(|f| (r, f, Vec::new())))
        .collect();
    // One of each in turn, so that a busy moment is everybody's.
    for _ in 0..counts.cold_starts {
        connects.push(throughput::bare("bare_connect", &[&url]).await?);
        reads.push(throughput::bare("bare_secret", &[world.sandbox.base_url(), &secret]).await?);
        for (runtime, function, cold) in &mut starts {
            let event = event(world, function, numbers).await?;
            cold.push(single::cold(world, *runtime, function, event).await?);
        }
    }
    report.bare_connect = connects;
    report.bare_secret = reads;
    report.cold = starts
        .into_iter()
        .map(|(runtime, function, starts)| ColdRow { runtime, function: function.to_owned(), starts })
        .collect();
    Ok(())
}

async fn event(world: &World, function: &str, numbers: &mut Numbers) -> Result<bytes::Bytes> {
    events(world, function, numbers.take(1)).await?.pop().context("no event")
}

async fn events(world: &World, function: &str, numbers: std::ops::Range<u64>) -> Result<Vec<bytes::Bytes>> {
    if function == VERIFY { seed::answers(world, numbers).await } else { seed::questions(numbers) }
}

async fn warm(world: &World, counts: &Counts, numbers: &mut Numbers, report: &mut Report) -> Result<()> {
    for (algorithm, name, functions) in [
        (SigningAlgorithm::Es256, "ES256", [NOTHING, CREATE, VERIFY].as_slice()),
        (SigningAlgorithm::Rs256, "RS256", [VERIFY].as_slice()),
    ] {
        world.sign_with(algorithm).await?;
        let first = event(world, VERIFY, numbers).await?;
        single::cold(world, Runtime::Rust, VERIFY, first).await?;
        for function in functions {
            phase(&format!("{function}, {name}, one at a time"), report).await?;
            let mut runs: Vec<(Runtime, Vec<single::Warm>)> = Runtime::ALL.map(|r| (r, Vec::new())).into();
            for _ in 0..counts.rounds {
                for (runtime, runs) in &mut runs {
                    let count = (counts.requests + counts.warm_up) as u64;
                    let events = events(world, function, numbers.take(count)).await?;
                    world.admin.batch_execute("VACUUM ANALYZE").await?;
                    world.admin.batch_execute("CHECKPOINT").await?;
                    runs.push(single::warm(world, *runtime, function, events, counts.warm_up).await?);
                }
            }
            for (runtime, runs) in runs {
                let middle = single::middle(&runs);
                let function = (*function).to_owned();
                report.warm.push(WarmRow { runtime, function, algorithm: name, warm: middle });
            }
        }
    }
    Ok(())
}

async fn throughput(
    world: &World,
    counts: &Counts,
    numbers: &mut Numbers,
    report: &mut Report,
) -> Result<()> {
    world.sign_with(SigningAlgorithm::Es256).await?;
    for function in [CREATE, VERIFY] {
        phase(&format!("{function}, {CLIENTS} at a time"), report).await?;
        let script = || {
            if function == VERIFY { Script::verify_lightning_signature() } else { Script::create_challenge() }
        };
        let mut row = ThroughputRow::new(function);
        for _ in 0..counts.throughput_rounds {
            let each = counts.throughput.as_secs() * 200 + 100;
            let mut lists = Vec::new();
            for client in 0..CLIENTS {
                // Apart by a few accounts, so that no two processes are at one account at a time.
                let skip = (client * 50 + 1_000 - numbers.0 % 1_000) % 1_000;
                numbers.take(skip);
                lists.push(events(world, function, numbers.take(each)).await?);
            }
            row.functions.push(throughput::functions(world, function, lists, counts.throughput).await?);
            for protocol in [Protocol::Extended, Protocol::Prepared] {
                let base = numbers.take(CLIENTS * STRIDE).start;
                if function == VERIFY {
                    for client in 0..CLIENTS {
                        let first = base + client * STRIDE;
                        seed::unsigned(world, first..first + counts.throughput.as_secs() * 400 + 100).await?;
                    }
                }
                match throughput::pgbench(world, &script()?, protocol, base, counts.throughput).await? {
                    Some(tps) if protocol == Protocol::Extended => row.extended.push(tps),
                    Some(tps) => row.prepared.push(tps),
                    None if protocol == Protocol::Extended => {
                        row.bare
                            .push(throughput::bare_driver(world, script()?, base, counts.throughput).await?);
                    }
                    None => {}
                }
            }
        }
        report.throughput.push(row);
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
