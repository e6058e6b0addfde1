//! The tables and the verdicts, as Markdown.

use super::commits::{One, REASONS};
use super::rate::Rate;
use super::resumer::Round;
use super::rotation::{REQUESTS_PER_SECOND, Requests};
use crate::figures::{ms, percentile, range};
use crate::machine::{self, ratio};
use anyhow::Result;
use std::fmt::Write as _;

const MIN_RATE: f64 = 0.6;
/// The background writer flushes now and then on its own account.
const OF_OTHERS: f64 = 1.05;
/// Of times that ought to be the same: what they differ by from one run to the next.
const MAX_DIFFERENCE: f64 = 1.25;

#[derive(Default)]
pub struct RateRow {
    pub clients: u64,
    pub ours: Vec<Rate>,
    pub pgbench: Vec<Rate>,
}

pub struct QueueRow {
    waiting: u64,
    finished: u64,
    due: u64,
    pub rounds: Vec<Round>,
}

impl QueueRow {
    pub fn new(waiting: u64, finished: u64, due: u64) -> Self {
        Self { waiting, finished, due, rounds: Vec::new() }
    }

    /// The middle of one of the times, in milliseconds.
    fn middle(&self, of: impl Fn(&Round) -> f64) -> f64 {
        percentile(&self.rounds.iter().map(of).collect::<Vec<_>>(), 50)
    }

    fn times(&self) -> [f64; 3] {
        [
            self.middle(|round| ms(round.look)),
            self.middle(|round| ms(round.take_up)),
            self.middle(|round| ms(round.finish)),
        ]
    }
}

#[derive(Default)]
pub struct RotationRow {
    pub rows: u64,
    pub alone: Vec<f64>,
    pub beside: Vec<f64>,
    pub requests: Vec<Requests>,
}

#[derive(Default)]
pub struct Report {
    pub one: Option<One>,
    pub rates: Vec<RateRow>,
    pub queues: Vec<QueueRow>,
    pub rotation: Option<RotationRow>,
    /// Each phase, the load average before it, and how busy the machine was with others.
    pub phases: Vec<(String, String, f64)>,
    verdicts: Vec<(String, String, String, bool)>,
}

impl Report {
    pub fn render(&mut self, flag: &str) -> Result<String> {
        let mut text = format!(
            "`cargo xtask bench setup{flag}` on {}. Postgres with fsync and synchronous_commit on.\n",
            machine::description()
        );
        self.one(&mut text)?;
        self.rates(&mut text)?;
        self.queues(&mut text)?;
        self.rotation(&mut text)?;
        text.push_str("\n| target | asked | measured | |\n|---|---:|---:|---|\n");
        for (name, asked, measured, reached) in &self.verdicts {
            let verdict = if *reached { "PASS" } else { "**MISS**" };
            writeln!(text, "| {name} | {asked} | {measured} | {verdict} |")?;
        }
        text.push_str("\n| phase | load average before | machine busy with others |\n|---|---:|---:|\n");
        for (name, load, others) in &self.phases {
            writeln!(text, "| {name} | {load} | {:.0} % |", others * 100.0)?;
        }
        Ok(text)
    }

    fn judge(&mut self, name: &str, asked: String, measured: String, reached: bool) {
        self.verdicts.push((name.to_owned(), asked, measured, reached));
    }

    fn one(&mut self, text: &mut String) -> Result<()> {
        let Some(one) = self.one.take() else { return Ok(()) };
        text.push_str("\n| flushed commit | what it holds | why before the next call |\n|---:|---|---|\n");
        for (number, (what, why)) in (1..).zip(REASONS) {
            writeln!(text, "| {number} | {what} | {why} |")?;
        }
        text.push_str("\n| one setup, alone on the machine | |\n|---|---:|\n");
        writeln!(text, "| from intent to address, median | {:.1} ms |", ms(one.median))?;
        writeln!(text, "| transactions, also those that only read | {:.2} |", one.commits)?;
        writeln!(text, "| flushes of the log | {:.2} |", one.flushes)?;
        writeln!(text, "| log | {:.1} kB |", ratio(one.log_bytes, 1_000))?;
        for (name, requests) in &one.requests {
            writeln!(text, "| requests to {name} | {requests:.1} |")?;
        }
        writeln!(text, "| CPU: the saga | {:.1} ms |", one.ours_us / 1_000.0)?;
        writeln!(text, "| CPU: Postgres | {:.1} ms |", one.postgres_us / 1_000.0)?;
        writeln!(text, "| CPU: the sandbox, in the providers' place | {:.1} ms |", one.sandbox_us / 1_000.0)?;
        let least = ratio(REASONS.len() as u64, 1);
        self.judge(
            "flushed commits a setup",
            format!("{least:.0}"),
            format!("{:.2}", one.flushes),
            one.flushes <= least * OF_OTHERS,
        );
        Ok(())
    }

    fn rates(&mut self, text: &mut String) -> Result<()> {
        if self.rates.is_empty() {
            return Ok(());
        }
        let commits = REASONS.len();
        writeln!(
            text,
            "\n| at once | setups a second, median (least to most) | pgbench, {commits} INSERTs | of it, ours | CPU: saga, Postgres, sandbox | CPU: pgbench, Postgres |\n|---:|---:|---:|---:|---:|---:|"
        )?;
        let mut best = (0.0, 0, 0.0);
        for row in &self.rates {
            let values = |runs: &[Rate], of: fn(&Rate) -> f64| runs.iter().map(of).collect::<Vec<_>>();
            let percent = |runs: &[Rate], of| percentile(&values(runs, of), 50) * 100.0;
            let (ours, beside) =
                (values(&row.ours, |r| r.per_second), values(&row.pgbench, |r| r.per_second));
            let (rate, share) = (percentile(&ours, 50), percentile(&ours, 50) / percentile(&beside, 50));
            if rate > best.0 {
                best = (rate, row.clients, share);
            }
            writeln!(
                text,
                "| {} | {} | {} | {share:.2} | {:.0} %, {:.0} %, {:.0} % | {:.0} %, {:.0} % |",
                row.clients,
                range(&ours),
                range(&beside),
                percent(&row.ours, |r| r.clients),
                percent(&row.ours, |r| r.postgres),
                percent(&row.ours, |r| r.sandbox),
                percent(&row.pgbench, |r| r.clients),
                percent(&row.pgbench, |r| r.postgres),
            )?;
        }
        text.push_str("\nCPU is of both cores together.\n");
        let (_, clients, share) = best;
        self.judge(
            &format!("setups a second of pgbench's, {clients} at once (our best)"),
            format!(">= {MIN_RATE:.2}"),
            format!("{share:.2}"),
            share >= MIN_RATE,
        );
        Ok(())
    }

    fn queues(&mut self, text: &mut String) -> Result<()> {
        if self.queues.is_empty() {
            return Ok(());
        }
        let due = self.queues.first().map_or(0, |row| row.due);
        writeln!(
            text,
            "\n| waiting | finished | look at the queue, ms | take one up, ms | finish {due} that are due, ms |\n|---:|---:|---:|---:|---:|"
        )?;
        let mut worst = [0.0_f64; 2];
        for pair in self.queues.chunks(2) {
            let [without, with] = pair else { continue };
            for row in pair {
                let [look, take_up, finish] = row.times();
                writeln!(
                    text,
                    "| {} | {} | {look:.2} | {take_up:.2} | {finish:.0} |",
                    row.waiting, row.finished
                )?;
            }
            let (base, beside) = (without.times(), with.times());
            let times = [0, 1, 2].map(|at| beside[at] / base[at]);
            writeln!(text, "| | ratio | {:.2} | {:.2} | {:.2} |", times[0], times[1], times[2])?;
            worst = [worst[0].max(times[1]), worst[1].max(times[2])];
        }
        for (what, worst) in [("take one up", worst[0]), ("finish those due", worst[1])] {
            self.judge(
                &format!("the resumer, {what}: with finished ones beside, of without"),
                format!("<= {MAX_DIFFERENCE}"),
                format!("{worst:.2}"),
                worst <= MAX_DIFFERENCE,
            );
        }
        Ok(())
    }

    fn rotation(&mut self, text: &mut String) -> Result<()> {
        let Some(row) = self.rotation.take() else { return Ok(()) };
        let times: Vec<f64> = row.requests.iter().flat_map(|requests| requests.times.clone()).collect();
        let rates: Vec<f64> = row.requests.iter().map(|requests| requests.per_second).collect();
        writeln!(
            text,
            "\n| rotation of {} macaroons | values moved a second, median (least to most) | requests beside: p50, p99, longest, ms |\n|---|---:|---:|",
            row.rows
        )?;
        writeln!(text, "| alone | {} | |", range(&row.alone))?;
        writeln!(
            text,
            "| beside {:.0} reads and writes a second (of {REQUESTS_PER_SECOND} asked) | {} | {:.1}, {:.1}, {:.1} |",
            percentile(&rates, 50),
            range(&row.beside),
            percentile(&times, 50),
            percentile(&times, 99),
            percentile(&times, 100)
        )?;
        Ok(())
    }
}
