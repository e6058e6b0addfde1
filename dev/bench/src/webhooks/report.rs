//! The tables and the verdicts, as Markdown: one delivery at a time, and twenty (`curve_report` has the rest).

use super::contender::Contender;
use super::curve::Point;
use super::pgbench::Bench;
use super::queue::Asked;
use super::rate::Rate;
use crate::figures::{ms, percentile, range};
use crate::machine::{self, ratio};
use crate::single::Warm;
use crate::throughput::CLIENTS;
use anyhow::{Context, Result};
use std::fmt::Write as _;

const MIN_RATE: f64 = 0.85;
const MAX_CPU: f64 = 1.0 / 3.0;

/// What was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    New,
    Copies,
    /// To a function or server that does nothing.
    Nothing,
}

impl What {
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new events",
            Self::Copies => "copies",
            Self::Nothing => "nothing done",
        }
    }
}

#[derive(Default)]
pub struct Report {
    pub alone: Vec<(What, Contender, Warm)>,
    pub rates: Vec<(What, Contender, Vec<Rate>)>,
    pub extended: Vec<(What, Vec<Bench>)>,
    pub prepared: Vec<(What, Vec<Bench>)>,
    pub points: Vec<Point>,
    pub asked: Vec<Asked>,
    pub plans: Vec<(String, Vec<String>)>,
    /// Each phase, the load average before it, and how busy the machine was with others.
    pub phases: Vec<(String, String, f64)>,
    pub verdicts: Vec<(String, String, String, bool)>,
}

impl Report {
    pub fn render(&mut self, flag: &str) -> Result<String> {
        let mut text = format!(
            "`cargo xtask bench webhooks{flag}` on {}. Postgres with fsync and synchronous_commit on.\n",
            machine::description()
        );
        self.one_at_a_time(&mut text)?;
        self.twenty_at_a_time(&mut text)?;
        self.by_size(&mut text)?;
        text.push_str("\n| target | to reach | measured | |\n|---|---:|---:|---|\n");
        for (name, to_reach, measured, reached) in &self.verdicts {
            writeln!(
                text,
                "| {name} | {to_reach} | {measured} | {} |",
                if *reached { "reached" } else { "**missed**" }
            )?;
        }
        text.push_str("\n| phase | load average before | machine busy with others |\n|---|---:|---:|\n");
        for (name, load, others) in &self.phases {
            writeln!(text, "| {name} | {load} | {:.0} % |", others * 100.0)?;
        }
        Ok(text)
    }

    pub fn judge(&mut self, name: &str, to_reach: String, measured: String, reached: bool) {
        self.verdicts.push((name.to_owned(), to_reach, measured, reached));
    }

    fn warm(&self, what: What, contender: Contender) -> Result<Warm> {
        let found = self.alone.iter().find(|row| row.0 == what && row.1 == contender);
        found.map(|row| row.2).with_context(|| format!("{} was not measured", contender.name()))
    }

    fn one_at_a_time(&mut self, text: &mut String) -> Result<()> {
        if self.alone.is_empty() {
            return Ok(());
        }
        text.push_str("\n| one at a time | p50 ms | p99 ms | peak memory MB | CPU us: gross | net | net, of ours | Postgres CPU us | commits | flushes |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
        for what in [What::New, What::Copies, What::Nothing] {
            for contender in Contender::ALL {
                let warm = self.warm(what, contender)?;
                let (net, ours) = (self.net(what, contender)?, self.net(what, Contender::Ours)?);
                let net = match what {
                    What::Nothing => " | ".to_owned(),
                    _ => format!("{net:.0} | {:.2} x", net / ours),
                };
                writeln!(
                    text,
                    "| {}: {} | {:.2} | {:.2} | {:.1} | {:.0} | {net} | {:.0} | {:.2} | {:.2} |",
                    contender.name(),
                    what.name(),
                    ms(warm.p50),
                    ms(warm.p99),
                    ratio(warm.peak_bytes, 1_000_000),
                    warm.application_us,
                    warm.postgres_us,
                    warm.commits,
                    warm.flushes
                )?;
            }
        }
        text.push_str("\nNet is gross less what the same runtime or framework takes to do nothing with the same request.\n");
        let share = self.net(What::New, Contender::Ours)? / self.net(What::New, Contender::Express)?;
        self.judge(
            "a new event: net CPU of Express's",
            format!("<= {MAX_CPU:.2}"),
            format!("{share:.2}"),
            share <= MAX_CPU,
        );
        Ok(())
    }

    /// CPU microseconds of its process beside what it takes to do nothing.
    fn net(&self, what: What, contender: Contender) -> Result<f64> {
        let gross = self.warm(what, contender)?.application_us;
        Ok(gross - self.warm(What::Nothing, contender)?.application_us)
    }

    fn twenty_at_a_time(&mut self, text: &mut String) -> Result<()> {
        if self.rates.is_empty() {
            return Ok(());
        }
        writeln!(
            text,
            "\n| {CLIENTS} at a time | a second, median (least to most) | of it, ours | p50 ms | p99 ms | CPU us: application | Postgres | driver |\n|---|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        let mut verdicts = Vec::new();
        for what in [What::New, What::Copies] {
            let ours = self.rate(what, Contender::Ours);
            for (_, contender, runs) in self.rates.iter().filter(|row| row.0 == what) {
                let middle = |of: fn(&Rate) -> f64| percentile(&runs.iter().map(of).collect::<Vec<_>>(), 50);
                writeln!(
                    text,
                    "| {}: {} | {} | {:.2} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} |",
                    contender.name(),
                    what.name(),
                    range(&runs.iter().map(|run| run.per_second).collect::<Vec<_>>()),
                    ours / middle(|run| run.per_second),
                    middle(|run| run.p50),
                    middle(|run| run.p99),
                    middle(|run| run.application_us),
                    middle(|run| run.postgres_us),
                    middle(|run| run.driver_us)
                )?;
            }
            for (name, rows, judged) in
                [("extended protocol as ours", &self.extended, true), ("prepared", &self.prepared, false)]
            {
                for (_, runs) in rows.iter().filter(|row| row.0 == what && !row.1.is_empty()) {
                    let middle =
                        |of: fn(&Bench) -> f64| percentile(&runs.iter().map(of).collect::<Vec<_>>(), 50);
                    let share = ours / middle(|run| run.per_second);
                    writeln!(
                        text,
                        "| pgbench, {name}: {} | {} | {share:.2} | {:.1} (mean) | | {:.0} | {:.0} | |",
                        what.name(),
                        range(&runs.iter().map(|run| run.per_second).collect::<Vec<_>>()),
                        middle(|run| run.latency_ms),
                        middle(|run| run.application_us),
                        middle(|run| run.postgres_us)
                    )?;
                    if judged && what == What::New {
                        let name = format!("new events a second, {CLIENTS} at a time, of pgbench's");
                        verdicts.push((
                            name,
                            format!(">= {MIN_RATE:.2}"),
                            format!("{share:.2}"),
                            share >= MIN_RATE,
                        ));
                    }
                }
            }
        }
        self.verdicts.append(&mut verdicts);
        self.by_cpu(text)
    }

    /// What the rates would come to if nothing but these processes had the machine.
    fn by_cpu(&self, text: &mut String) -> Result<()> {
        let ours = self.rates.iter().find(|row| row.0 == What::New && row.1 == Contender::Ours);
        let beside = self.extended.iter().find(|row| row.0 == What::New && !row.1.is_empty());
        let (Some((_, _, ours)), Some((_, beside))) = (ours, beside) else { return Ok(()) };
        let ours: Vec<f64> =
            ours.iter().map(|run| run.application_us + run.postgres_us + run.driver_us).collect();
        let beside: Vec<f64> = beside.iter().map(|run| run.application_us + run.postgres_us).collect();
        let (ours, beside) = (percentile(&ours, 50), percentile(&beside, 50));
        writeln!(
            text,
            "\nA new event takes {ours:.0} us of CPU, the driver's too, and pgbench's {beside:.0} us: by CPU alone, whoever else is busy, ours are {:.2} of pgbench's.",
            beside / ours
        )?;
        Ok(())
    }

    fn rate(&self, what: What, contender: Contender) -> f64 {
        let found = self.rates.iter().find(|row| row.0 == what && row.1 == contender);
        found.map_or(f64::NAN, |row| {
            percentile(&row.2.iter().map(|run| run.per_second).collect::<Vec<_>>(), 50)
        })
    }
}
