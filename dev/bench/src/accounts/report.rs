//! The tables and the verdicts, as Markdown.

use super::argon::Cost;
use super::contender::Contender;
use super::load::Load;
use super::work::Work;
use super::{CLOSED, OPEN, POOL};
use crate::figures::{ms, percentile, spread};
use crate::machine::{self, ratio};
use anyhow::Result;
use std::fmt::Write as _;
use std::time::Duration;

/// Net CPU, of that of Express with `pg`.
const MAX_CPU: [(Work, f64); 2] = [(Work::Me, 1.0 / 4.0), (Work::Refresh, 1.0 / 3.0)];
/// In the open loop, with ten times the connections.
const MAX_P99: f64 = 3.0;
const MAX_LOGIN: f64 = 1.1;

pub struct Row {
    pub work: Work,
    pub contender: Contender,
    pub load: Load,
}

#[derive(Default)]
pub struct Report {
    pub cold: Vec<(Work, Contender, Duration)>,
    pub argon: Vec<Cost>,
    pub alone: Vec<Row>,
    pub rsa: Vec<Row>,
    pub closed: Vec<Row>,
    pub open: Vec<Row>,
    /// Each phase, the load average before it, and how busy the machine was with others.
    pub phases: Vec<(String, String, f64)>,
    verdicts: Vec<(String, String, String, bool)>,
}

/// The middle of several runs.
struct Runs<'a>(Vec<&'a Load>);

impl Runs<'_> {
    fn middle(&self, of: impl Fn(&Load) -> f64) -> f64 {
        percentile(&self.0.iter().map(|load| of(load)).collect::<Vec<_>>(), 50)
    }

    fn errors(&self) -> usize {
        self.0.iter().map(|load| load.errors).sum()
    }
}

fn runs(rows: &[Row], work: Work, contender: Contender, connections: usize) -> Runs<'_> {
    let is =
        |row: &&Row| row.work == work && row.contender == contender && row.load.connections == connections;
    Runs(rows.iter().filter(is).map(|row| &row.load).collect())
}

impl Report {
    pub fn render(&mut self, flag: &str) -> Result<String> {
        let mut text = format!(
            "`cargo xtask bench accounts{flag}` on {}. Postgres with fsync and synchronous_commit on.\n",
            machine::description()
        );
        self.cold_starts(&mut text)?;
        self.one_at_a_time(&mut text)?;
        self.with_rsa(&mut text)?;
        self.login(&mut text)?;
        self.closed_loop(&mut text)?;
        self.open_loop(&mut text)?;
        self.errors(&mut text)?;
        text.push_str("\n| target | to reach | measured | |\n|---|---:|---:|---|\n");
        for (name, to_reach, measured, reached) in &self.verdicts {
            let verdict = if *reached { "reached" } else { "**missed**" };
            writeln!(text, "| {name} | {to_reach} | {measured} | {verdict} |")?;
        }
        text.push_str("\n| phase | load average before | machine busy with others |\n|---|---:|---:|\n");
        for (name, load, others) in &self.phases {
            writeln!(text, "| {name} | {load} | {:.0} % |", others * 100.0)?;
        }
        Ok(text)
    }

    fn judge(&mut self, name: String, to_reach: String, measured: String, reached: bool) {
        self.verdicts.push((name, to_reach, measured, reached));
    }

    fn cold_starts(&self, text: &mut String) -> Result<()> {
        if self.cold.is_empty() {
            return Ok(());
        }
        text.push_str("\n| cold, from starting the process to the first answer, median (p90), ms |");
        for work in Work::ALL {
            write!(text, " {} |", work.name())?;
        }
        writeln!(text, "\n|---|{}", "---:|".repeat(Work::ALL.len()))?;
        for contender in Contender::ALL {
            write!(text, "| {} |", contender.name())?;
            for work in Work::ALL {
                let its = self.cold.iter().filter(|row| row.0 == work && row.1 == contender);
                write!(text, " {} |", spread(&its.map(|row| ms(row.2)).collect::<Vec<_>>()))?;
            }
            text.push('\n');
        }
        Ok(())
    }

    /// CPU microseconds of the contender's processes, beside what it takes to do nothing.
    fn net(&self, rows: &[Row], work: Work, contender: Contender) -> f64 {
        let nothing = runs(&self.alone, Work::Nothing, contender, 1).middle(|load| load.application_us);
        runs(rows, work, contender, 1).middle(|load| load.application_us) - nothing
    }

    fn one_at_a_time(&mut self, text: &mut String) -> Result<()> {
        if self.alone.is_empty() {
            return Ok(());
        }
        text.push_str("\n| one connection, ES256 | a second | p50 ms | p99 ms | CPU us: gross | net | net, of ours | Postgres CPU us | commits | flushes | peak memory MB |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
        for work in Work::ALL {
            for contender in Contender::ALL {
                let its = runs(&self.alone, work, contender, 1);
                let net = self.net(&self.alone, work, contender);
                let net = match work {
                    Work::Nothing => " | ".to_owned(),
                    _ => format!("{net:.0} | {:.2} x", net / self.net(&self.alone, work, Contender::Ours)),
                };
                let counted =
                    |of: fn((f64, f64)) -> f64| its.middle(|load| load.counted.map_or(f64::NAN, of));
                writeln!(
                    text,
                    "| {}: {} | {:.0} | {:.2} | {:.2} | {:.0} | {net} | {:.0} | {:.2} | {:.2} | {:.1} |",
                    contender.name(),
                    work.name(),
                    its.middle(|load| load.per_second),
                    its.middle(|load| load.p50),
                    its.middle(|load| load.p99),
                    its.middle(|load| load.application_us),
                    its.middle(|load| load.postgres_us),
                    counted(|counted| counted.0),
                    counted(|counted| counted.1),
                    its.middle(|load| ratio(load.memory.0, 1_000_000)),
                )?;
            }
        }
        text.push_str("\nNet is gross less what the same contender takes to do nothing with a request. Commits count every transaction, also those that only read or count a request in the unlogged table; a flush is what a commit waits for.\n");
        for (work, limit) in MAX_CPU {
            let share = self.net(&self.alone, work, Contender::Ours)
                / self.net(&self.alone, work, Contender::Express);
            self.judge(
                format!("{}: net CPU of that of Express with pg", work.name()),
                format!("<= {limit:.2}"),
                format!("{share:.2}"),
                share <= limit,
            );
        }
        Ok(())
    }

    fn with_rsa(&self, text: &mut String) -> Result<()> {
        if self.rsa.is_empty() {
            return Ok(());
        }
        text.push_str("\n| one connection, RS256 | p50 ms | p99 ms | CPU us: gross | net | net, of ours |\n|---|---:|---:|---:|---:|---:|\n");
        for work in [Work::Me, Work::Refresh] {
            for contender in Contender::ALL {
                let its = runs(&self.rsa, work, contender, 1);
                let net = self.net(&self.rsa, work, contender);
                writeln!(
                    text,
                    "| {}: {} | {:.2} | {:.2} | {:.0} | {net:.0} | {:.2} x |",
                    contender.name(),
                    work.name(),
                    its.middle(|load| load.p50),
                    its.middle(|load| load.p99),
                    its.middle(|load| load.application_us),
                    net / self.net(&self.rsa, work, Contender::Ours),
                )?;
            }
        }
        Ok(())
    }

    /// A login beside the hashing alone.
    fn login(&mut self, text: &mut String) -> Result<()> {
        if self.argon.is_empty() {
            return Ok(());
        }
        let middle = |of: fn(&Cost) -> Duration| {
            percentile(&self.argon.iter().map(|cost| ms(of(cost))).collect::<Vec<_>>(), 50)
        };
        let (cpu, elapsed) = (middle(|cost| cost.cpu), middle(|cost| cost.elapsed));
        let ours = runs(&self.alone, Work::Login, Contender::Ours, 1);
        let net = self.net(&self.alone, Work::Login, Contender::Ours) / 1_000.0;
        writeln!(
            text,
            "\nargon2id with 19 MiB, two passes and one lane, alone in a process built as the functions are: {cpu:.2} ms of CPU, {elapsed:.2} ms. A login takes {net:.2} ms of CPU net and {:.2} ms until it is answered: beside the hash, the round trips, the commit, the seal, two signatures and the log.",
            ours.middle(|load| load.p50)
        )?;
        let share = net / cpu;
        self.judge(
            "login: net CPU, of argon2's alone".to_owned(),
            format!("<= {MAX_LOGIN:.2}"),
            format!("{share:.2}"),
            share <= MAX_LOGIN,
        );
        Ok(())
    }

    fn table(text: &mut String, rows: &[Row], connections: &[usize]) -> Result<()> {
        for work in Work::MEASURED {
            for contender in Contender::ALL {
                for connections in connections {
                    let its = runs(rows, work, contender, *connections);
                    writeln!(
                        text,
                        "| {}: {} | {connections} | {:.0} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} | {} |",
                        contender.name(),
                        work.name(),
                        its.middle(|load| load.per_second),
                        its.middle(|load| load.p50),
                        its.middle(|load| load.p99),
                        its.middle(|load| load.application_us),
                        its.middle(|load| load.postgres_us),
                        its.middle(|load| load.driver_us),
                        its.middle(|load| ratio(load.memory.1, 1_000_000)),
                        its.errors(),
                    )?;
                }
            }
        }
        Ok(())
    }

    fn closed_loop(&self, text: &mut String) -> Result<()> {
        if self.closed.is_empty() {
            return Ok(());
        }
        writeln!(
            text,
            "\n| closed loop, {POOL} connections to Postgres | connections | a second | p50 ms | p99 ms | CPU us: application, gross | Postgres | driver | memory of all MB | errors |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        Self::table(text, &self.closed, &CLOSED)
    }

    fn open_loop(&mut self, text: &mut String) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        writeln!(
            text,
            "\n| open loop at half of what the closed one reached with 100 | connections | a second | p50 ms | p99 ms | CPU us: application, gross | Postgres | driver | memory of all MB | errors |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        Self::table(text, &self.open, &OPEN)?;
        for work in Work::MEASURED {
            let [few, many] = OPEN.map(|connections| runs(&self.open, work, Contender::Ours, connections));
            let (errors, share) =
                (few.errors() + many.errors(), many.middle(|load| load.p99) / few.middle(|load| load.p99));
            self.judge(
                format!("{}: errors in the open loop", work.name()),
                "0".to_owned(),
                errors.to_string(),
                errors == 0,
            );
            self.judge(
                format!("{}: p99 in the open loop, with 1000 connections of that with 100", work.name()),
                format!("< {MAX_P99}"),
                format!("{share:.2}"),
                share < MAX_P99,
            );
        }
        Ok(())
    }

    fn errors(&self, text: &mut String) -> Result<()> {
        for row in self.closed.iter().chain(&self.open).filter(|row| row.load.errors > 0) {
            let first = row.load.error.lines().next().unwrap_or_default();
            let (who, what, where_) = (row.contender.name(), row.work.name(), row.load.connections);
            writeln!(text, "\nThe first error of {who}, {what}, with {where_}: `{first}`")?;
        }
        Ok(())
    }
}
