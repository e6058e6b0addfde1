//! The tables and the verdicts, as Markdown.

use super::commits::{One, REASONS, needed};
use super::peer;
use super::plans::Plan;
use super::rate::Rate;
use super::resumer::Seen;
use super::rotation::{REQUESTS_PER_SECOND, Requests};
use crate::figures::{ms, percentile, range, spread};
use crate::machine::{self, ratio};
use anyhow::Result;
use shared::setup::NodeSource;
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
    /// `pgbench` with the same statements, and with plain INSERTs.
    pub same: Vec<Rate>,
    pub plain: Vec<Rate>,
}

pub struct QueueRow {
    due: u64,
    finished: u64,
    seen: Seen,
}

impl QueueRow {
    pub fn new(due: u64, finished: u64) -> Self {
        Self { due, finished, seen: Seen::default() }
    }

    pub fn add(&mut self, seen: Seen) {
        self.seen.count.extend(seen.count);
        self.seen.next.extend(seen.next);
        self.seen.take_up.extend(seen.take_up);
        self.seen.per_second.extend(seen.per_second);
    }

    /// The middle of each: counting what is due, seeing when the next is, taking one up, setups a second.
    fn middles(&self) -> [f64; 4] {
        let Seen { count, next, take_up, per_second } = &self.seen;
        [count, next, take_up, per_second].map(|values| percentile(values, 50))
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
    pub ones: Vec<One>,
    pub rates: Vec<RateRow>,
    /// Each with few finished and with many.
    pub queues: Vec<[QueueRow; 2]>,
    pub plans: Vec<Plan>,
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
        self.commits(&mut text)?;
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

    fn commits(&mut self, text: &mut String) -> Result<()> {
        let [made, registered] = self.ones.as_slice() else { return Ok(()) };
        text.push_str("\n| flushed commit | with a node made for the user | with a registered one | why before the next call |\n|---:|---|---|---|\n");
        for (number, reason) in (1..).zip(REASONS) {
            writeln!(text, "| {number} | {} | {} | {} |", reason.voltage, reason.registered, reason.why)?;
        }
        text.push_str(
            "\n| one setup, alone on the machine | a node made | a registered one |\n|---|---:|---:|\n",
        );
        let mut row = |name: &str, of: &dyn Fn(&One) -> String| {
            writeln!(text, "| {name} | {} | {} |", of(made), of(registered))
        };
        row("transactions that write", &|one| format!("{:.2}", one.writes))?;
        row("flushes of the log", &|one| format!("{:.2}", one.flushes))?;
        row("rows inserted, changed, deleted", &|one| one.rows.to_string())?;
        row("log", &|one| format!("{:.1} kB", ratio(one.log_bytes, 1_000)))?;
        row("from intent to address, median", &|one| format!("{:.1} ms", ms(one.median)))?;
        for (at, (name, _)) in made.requests.iter().enumerate() {
            row(&format!("requests to {name}"), &|one| format!("{:.1}", one.requests[at].1))?;
        }
        row("CPU: the saga", &|one| format!("{:.1} ms", one.ours_us / 1_000.0))?;
        row("CPU: Postgres", &|one| format!("{:.1} ms", one.postgres_us / 1_000.0))?;
        row("CPU: the sandbox, in the providers' place", &|one| {
            format!("{:.1} ms", one.sandbox_us / 1_000.0)
        })?;
        for one in std::mem::take(&mut self.ones) {
            let needed = needed(one.source);
            let most = ratio(needed, 1) * OF_OTHERS;
            self.judge(
                &format!("flushed commits a setup, node source `{}`", one.source.name()),
                needed.to_string(),
                format!("{:.2}, in {:.2} flushes", one.writes, one.flushes),
                one.writes <= most && one.flushes <= most,
            );
        }
        Ok(())
    }

    fn rates(&mut self, text: &mut String) -> Result<()> {
        if self.rates.is_empty() {
            return Ok(());
        }
        let (commits, peer) = (needed(NodeSource::Voltage), peer::name());
        writeln!(
            text,
            "\n| at once | setups a second, median (least to most) | {peer}, same statements | of it, ours | {peer}, {commits} INSERTs | of it, ours |\n|---:|---:|---:|---:|---:|---:|"
        )?;
        let mut best = (0.0, 0, 0.0);
        for row in &self.rates {
            let [ours, same, plain] = [&row.ours, &row.same, &row.plain].map(|runs| rates(runs));
            let rate = percentile(&ours, 50);
            let [of_same, of_plain] = [&same, &plain].map(|beside| rate / percentile(beside, 50));
            if rate > best.0 {
                best = (rate, row.clients, of_same);
            }
            let (ours, same, plain) = (range(&ours), range(&same), range(&plain));
            writeln!(text, "| {} | {ours} | {same} | {of_same:.2} | {plain} | {of_plain:.2} |", row.clients)?;
        }
        self.shares(text)?;
        let (_, clients, share) = best;
        self.judge(
            &format!("setups a second of {peer}'s with the same statements, {clients} at once (our best)"),
            format!(">= {MIN_RATE:.2}"),
            format!("{share:.2}"),
            share >= MIN_RATE,
        );
        Ok(())
    }

    /// Who had the machine meanwhile.
    fn shares(&self, text: &mut String) -> Result<()> {
        text.push_str(
            "\n| of all cores' time | saga | Postgres | sandbox | setups a second for the time that is not the sandbox's | same statements: client | Postgres | INSERTs: client | Postgres |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for row in &self.rates {
            let middle = |runs: &[Rate], of: fn(&Rate) -> f64| {
                percentile(&runs.iter().map(of).collect::<Vec<_>>(), 50)
            };
            let percent = |runs: &[Rate], of| format!("{:.0} %", middle(runs, of) * 100.0);
            let alone = middle(&row.ours, |r| r.per_second / (1.0 - r.sandbox));
            writeln!(
                text,
                "| {} at once | {} | {} | {} | {alone:.0} | {} | {} | {} | {} |",
                row.clients,
                percent(&row.ours, |r| r.clients),
                percent(&row.ours, |r| r.postgres),
                percent(&row.ours, |r| r.sandbox),
                percent(&row.same, |r| r.clients),
                percent(&row.same, |r| r.postgres),
                percent(&row.plain, |r| r.clients),
                percent(&row.plain, |r| r.postgres),
            )?;
        }
        Ok(())
    }

    fn queues(&mut self, text: &mut String) -> Result<()> {
        if self.queues.is_empty() {
            return Ok(());
        }
        text.push_str("\n| due | finished | count what is due, ms | when is the next, ms | take one up, ms, median (p90) | finished a second by one resumer |\n|---:|---:|---:|---:|---:|---:|\n");
        let mut worst = [0.0_f64; 4];
        for pair in &self.queues {
            for row in pair {
                let [count, next, _, per_second] = row.middles();
                let take_up = spread(&row.seen.take_up);
                writeln!(
                    text,
                    "| {} | {} | {count:.2} | {next:.2} | {take_up} | {per_second:.0} |",
                    row.due, row.finished
                )?;
            }
            let [few, many] = pair.each_ref().map(QueueRow::middles);
            let times = [many[0] / few[0], many[1] / few[1], many[2] / few[2], few[3] / many[3]];
            let [count, next, take_up, rate] = times;
            writeln!(text, "| | many to few | {count:.2} | {next:.2} | {take_up:.2} | 1 / {rate:.2} |")?;
            worst = [0, 1, 2, 3].map(|at| worst[at].max(times[at]));
        }
        let names = ["count what is due", "when is the next", "take one up", "bring them to their end"];
        for (what, worst) in names.into_iter().zip(worst) {
            self.judge(
                &format!("the resumer, {what}: time with many finished, of that with few"),
                format!("<= {MAX_DIFFERENCE}"),
                format!("{worst:.2}"),
                worst <= MAX_DIFFERENCE,
            );
        }
        self.plans(text)
    }

    fn plans(&mut self, text: &mut String) -> Result<()> {
        text.push_str("\nHow Postgres goes about it, in the last of these:\n");
        for plan in std::mem::take(&mut self.plans) {
            writeln!(text, "\n```text\n-- {}\n{}\n```", plan.question, plan.lines.join("\n"))?;
            self.judge(
                &format!("the resumer, {}: by the index of what runs", plan.question),
                "lightning_setups_due_idx".to_owned(),
                if plan.is_narrow() { "it is" } else { "another way" }.to_owned(),
                plan.is_narrow(),
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

fn rates(runs: &[Rate]) -> Vec<f64> {
    runs.iter().map(|run| run.per_second).collect()
}
