//! So many connections at a time: each asks as soon as it is answered (the closed loop), or at times that were set before
//! (the open loop), whatever becomes of the others.

use super::contender::{Contender, Crew, Seat};
use super::ground::Ground;
use super::people::Person;
use super::work::Work;
use crate::counters::Counters;
use crate::figures::{ms, percentile};
use crate::machine::{self, family_with_ended_ns, ratio};
use anyhow::{Context, Result, bail};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Requests of each connection before anything is counted: the first of a process connects, and reads secrets.
const WARM_UP: usize = 3;

/// When they ask.
#[derive(Clone, Copy, Debug)]
pub enum Loop {
    Closed,
    /// So many a second, all connections together, at even distances.
    Open(f64),
}

/// One run.
#[derive(Clone, Debug, Default)]
pub struct Load {
    pub connections: usize,
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
    /// CPU microseconds a request: of the contender's processes, of Postgres', of this process.
    pub application_us: f64,
    pub postgres_us: f64,
    pub driver_us: f64,
    pub errors: usize,
    /// Of the first of them.
    pub error: String,
    /// Of all its connections, those before anything was measured included.
    pub asked: u64,
    /// Commits a request, and flushes of the log a request; where they were counted.
    pub counted: Option<(f64, f64)>,
    /// The most memory of one process, and of all.
    pub memory: (u64, u64),
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    times: Vec<f64>,
    errors: Vec<String>,
}

/// What is measured.
pub struct Run<'a> {
    pub ground: &'a Ground,
    pub crew: &'a Crew,
    pub contender: Contender,
    pub work: Work,
    pub pool: u64,
}

/// One connection to one process, which does nothing else from its start to its end; and what Postgres counts meanwhile.
pub async fn alone(
    ground: &Ground,
    (contender, work): (Contender, Work),
    people: &mut [Person],
    time: Duration,
) -> Result<Load> {
    ground.settle().await?;
    // A session reports the last of what it did when it ends, so this takes in the warm-up.
    let before = Counters::read(&ground.admin).await?;
    let crew = Crew::start(ground, contender, &[work], 1).await?;
    let run = Run { ground, crew: &crew, contender, work, pool: 1 };
    let mut load = run.measure(people, Loop::Closed, time, Settled::Before).await?;
    crew.stop().await;
    let counted = Counters::read(&ground.admin).await?.since(before);
    load.counted = Some((ratio(counted.commits, load.asked), ratio(counted.flushes, load.asked)));
    Ok(load)
}

/// When the tables are put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// By the caller.
    Before,
    AfterWarmUp,
}

impl Run<'_> {
    pub async fn measure(
        &self,
        people: &mut [Person],
        how: Loop,
        time: Duration,
        settled: Settled,
    ) -> Result<Load> {
        let (crew, work, ground) = (self.crew, self.work, self.ground);
        let mut seats = crew.seats(people).await?;
        self.warm_up(&mut seats).await?;
        if settled == Settled::AfterWarmUp {
            ground.settle().await?;
        }
        let cpu = || -> Result<[u64; 3]> {
            let driver = machine::cpu_ns(std::process::id())?;
            Ok([crew.cpu_ns(work)?, family_with_ended_ns(ground.postmaster)?, driver])
        };
        let before = cpu()?;
        let connections = seats.len();
        let (seats, seen) = ask(seats, work, how, time).await?;
        let used: Vec<u64> =
            cpu()?.iter().zip(before).map(|(after, before)| after.saturating_sub(before)).collect();
        let asked = seats.iter().map(|seat| seat.asked).sum();
        for seat in seats {
            let place = usize::try_from(seat.who.n)?;
            people[place] = seat.who;
        }
        let done = seen.times.len() as u64;
        let times = seen.times;
        Ok(Load {
            connections,
            per_second: ratio(done, 1) / time.as_secs_f64(),
            p50: percentile(&times, 50),
            p99: percentile(&times, 99),
            application_us: ratio(used[0], done * 1_000),
            postgres_us: ratio(used[1], done * 1_000),
            driver_us: ratio(used[2], done * 1_000),
            errors: seen.errors.len(),
            error: seen.errors.into_iter().next().unwrap_or_default(),
            asked,
            counted: None,
            memory: crew.peak_memory(work)?,
        })
    }

    /// Until every process there may be has served.
    async fn warm_up(&self, seats: &mut Vec<Seat>) -> Result<()> {
        let few = seats.len().min(usize::try_from(self.pool)? * 2);
        for _ in 0..20 {
            let mut asking = JoinSet::new();
            for mut seat in seats.drain(..few) {
                let work = self.work;
                asking.spawn(async move {
                    for _ in 0..WARM_UP {
                        seat.ask(work).await?;
                    }
                    anyhow::Ok(seat)
                });
            }
            while let Some(seat) = asking.join_next().await {
                let what = || format!("{} of {}", self.work.name(), self.contender.name());
                seats.push(seat?.with_context(what)?);
            }
            let there = self.crew.pids(self.work).len() as u64;
            if there >= self.crew.most(self.pool.min(few as u64)) {
                return Ok(());
            }
        }
        bail!("not every process came to serve")
    }
}

/// Whether the rest of an answer may be left unheard: whoever refreshes would not know their next token.
const fn may_be_given_up(work: Work) -> bool {
    matches!(work, Work::Login)
}

async fn ask(seats: Vec<Seat>, work: Work, how: Loop, time: Duration) -> Result<(Vec<Seat>, Seen)> {
    let (begin, connections) = (Instant::now(), seats.len());
    let mut running = JoinSet::new();
    for (nth, seat) in seats.into_iter().enumerate() {
        match how {
            Loop::Closed => running.spawn(closed(seat, work, begin + time)),
            Loop::Open(rate) => {
                let first = ratio(nth as u64, 1) / rate;
                let every = ratio(connections as u64, 1) / rate;
                running.spawn(open(seat, work, (begin, first, every), time))
            }
        };
    }
    let (mut seats, mut all) = (Vec::new(), Seen::default());
    while let Some(ended) = running.join_next().await {
        let (seat, seen) = ended?;
        seats.push(seat);
        all.times.extend(seen.times);
        all.errors.extend(seen.errors);
    }
    Ok((seats, all))
}

async fn closed(mut seat: Seat, work: Work, end: Instant) -> (Seat, Seen) {
    let mut seen = Seen::default();
    while Instant::now() < end {
        let asked = if may_be_given_up(work) {
            let Ok(asked) = timeout_at(end, seat.ask(work)).await else { break };
            asked
        } else {
            seat.ask(work).await
        };
        match asked {
            // What ends late is not of this time.
            Ok(answered) if Instant::now() <= end => seen.times.push(ms(answered.elapsed)),
            Ok(_) => {}
            Err(error) => {
                seen.errors.push(format!("{error:#}"));
                if seen.errors.len() > 3 {
                    break;
                }
            }
        }
    }
    (seat, seen)
}

/// What is late because the one before it on this connection was slow has waited since its own time.
async fn open(
    mut seat: Seat,
    work: Work,
    (begin, first, every): (Instant, f64, f64),
    time: Duration,
) -> (Seat, Seen) {
    let mut seen = Seen::default();
    let mut at = first;
    while at < time.as_secs_f64() {
        let due = begin + Duration::from_secs_f64(at);
        sleep_until(due).await;
        match seat.ask(work).await {
            Ok(_) => seen.times.push(ms(due.elapsed())),
            Err(error) => {
                seen.errors.push(format!("{error:#}"));
                break;
            }
        }
        at += every;
    }
    (seat, seen)
}
