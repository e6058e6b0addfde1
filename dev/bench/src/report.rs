//! The tables and the verdicts, as Markdown.

use crate::figures::{ms, percentile, range, spread};
use crate::machine::{self, ratio};
use crate::single::{Cold, Warm};
use crate::throughput::CLIENTS;
use crate::world::Runtime;
use crate::{binaries, peers};
use anyhow::Result;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

const MAX_BINARY: f64 = 10.0;
const MAX_MEMORY: f64 = 30.0;
const MAX_COLD: f64 = 2.0;
/// What a request may cost of the better peer's CPU.
const MAX_CPU: [(&str, f64); 2] =
    [("create_challenge", 1.0 / 3.0), ("verify_lightning_signature", 1.0 / 4.0)];
const MIN_THROUGHPUT: f64 = 0.85;
/// The background writer flushes now and then on its own account.
const ONE_FLUSH: f64 = 1.05;

pub struct ColdRow {
    pub runtime: Runtime,
    pub function: String,
    pub starts: Vec<Cold>,
}

pub struct WarmRow {
    pub runtime: Runtime,
    pub function: String,
    pub algorithm: &'static str,
    pub warm: Warm,
}

#[derive(Default)]
pub struct ThroughputRow {
    pub function: String,
    pub functions: Vec<f64>,
    pub extended: Vec<f64>,
    pub prepared: Vec<f64>,
    pub bare: Vec<f64>,
}

impl ThroughputRow {
    pub fn new(function: &str) -> Self {
        Self { function: function.to_owned(), ..Self::default() }
    }
}

#[derive(Default)]
pub struct Report {
    pub bare_connect: Vec<Duration>,
    pub bare_secret: Vec<Duration>,
    pub cold: Vec<ColdRow>,
    pub warm: Vec<WarmRow>,
    pub throughput: Vec<ThroughputRow>,
    /// Each phase, the load average before it, and how busy the machine was with others.
    pub phases: Vec<(String, String, f64)>,
    verdicts: Vec<(String, String, String, bool)>,
}

impl Report {
    pub fn render(&mut self, flag: &str) -> Result<String> {
        let mut text = format!(
            "`cargo xtask bench signin{flag}` on {}. Postgres with fsync and synchronous_commit on.\n",
            machine::description()
        );
        for part in [Self::sizes, Self::cold_starts, Self::requests, Self::cpu, Self::twenty_at_once] {
            text.push('\n');
            part(self, &mut text)?;
        }
        text.push_str("\n| target | to reach | measured | |\n|---|---:|---:|---|\n");
        for (name, to_reach, measured, reached) in &self.verdicts {
            let verdict = if *reached { "PASS" } else { "**MISS**" };
            writeln!(text, "| {name} | {to_reach} | {measured} | {verdict} |")?;
        }
        text.push_str("\n| phase | load average before | machine busy with others |\n|---|---:|---:|\n");
        for (name, load, others) in &self.phases {
            writeln!(text, "| {name} | {load} | {:.0} % |", others * 100.0)?;
        }
        Ok(text)
    }

    fn judge(&mut self, name: &str, to_reach: String, measured: String, reached: bool) {
        self.verdicts.push((name.to_owned(), to_reach, measured, reached));
    }

    fn sizes(&mut self, text: &mut String) -> Result<()> {
        text.push_str("| binary | MB | of the one that does nothing |\n|---|---:|---:|\n");
        let size =
            |name: &str| Ok::<_, anyhow::Error>(ratio(fs::metadata(binaries::path(name))?.len(), 1_000_000));
        let nothing = size("do_nothing")?;
        for name in peers::HANDLERS {
            let size = size(name)?;
            writeln!(text, "| {name} | {size:.2} | {:.2} x |", size / nothing)?;
            if name != "do_nothing" {
                self.judge(
                    &format!("{name}: binary"),
                    format!("<= {MAX_BINARY:.0} MB"),
                    format!("{size:.2} MB"),
                    size <= MAX_BINARY,
                );
            }
        }
        Ok(())
    }

    fn cold_starts(&mut self, text: &mut String) -> Result<()> {
        text.push_str("| from spawning the process, median (p90), ms | to asking for an event | to the first answer |\n|---|---:|---:|\n");
        for row in &self.cold {
            let ready: Vec<f64> = row.starts.iter().map(|cold| ms(cold.to_ready)).collect();
            let first: Vec<f64> = row.starts.iter().map(|cold| ms(cold.to_first_answer)).collect();
            writeln!(
                text,
                "| {}: {} | {} | {} |",
                row.runtime.name(),
                row.function,
                spread(&ready),
                spread(&first)
            )?;
        }
        let connect: Vec<f64> = self.bare_connect.iter().copied().map(ms).collect();
        let secret: Vec<f64> = self.bare_secret.iter().copied().map(ms).collect();
        writeln!(
            text,
            "| one bare connect to Postgres (SCRAM), in its own process | | {} |",
            spread(&connect)
        )?;
        writeln!(
            text,
            "| one bare secret read with the AWS SDK, in its own process | | {} |",
            spread(&secret)
        )?;
        let floor = self.first_answer("do_nothing") + percentile(&connect, 50) + percentile(&secret, 50);
        writeln!(
            text,
            "\nThe sum of the function that does nothing, one connect and one read: {floor:.2} ms."
        )?;
        for (function, _) in MAX_CPU {
            let ratio = self.first_answer(function) / floor;
            self.judge(
                &format!("{function}: cold start against that sum"),
                format!("<= {MAX_COLD:.0} x"),
                format!("{ratio:.2} x"),
                ratio <= MAX_COLD,
            );
        }
        Ok(())
    }

    /// The median of ours, in milliseconds.
    fn first_answer(&self, function: &str) -> f64 {
        let row = self.cold.iter().find(|row| row.runtime == Runtime::Rust && row.function == function);
        let starts =
            row.map(|row| row.starts.iter().map(|cold| ms(cold.to_first_answer)).collect::<Vec<_>>());
        starts.map(|starts| percentile(&starts, 50)).unwrap_or_default()
    }

    fn requests(&mut self, text: &mut String) -> Result<()> {
        text.push_str("| one process, warm | p50 ms | p99 ms | peak memory MB | Postgres CPU us | commits | flushes |\n|---|---:|---:|---:|---:|---:|---:|\n");
        let mut verdicts = Vec::new();
        for row in &self.warm {
            let warm = row.warm;
            let memory = ratio(warm.peak_bytes, 1_000_000);
            writeln!(
                text,
                "| {}: {}, {} | {:.2} | {:.2} | {memory:.1} | {:.0} | {:.2} | {:.2} |",
                row.runtime.name(),
                row.function,
                row.algorithm,
                ms(warm.p50),
                ms(warm.p99),
                warm.postgres_us,
                warm.commits,
                warm.flushes
            )?;
            if row.runtime == Runtime::Rust && row.function != "do_nothing" {
                let name = format!("{}, {}", row.function, row.algorithm);
                verdicts.push((
                    format!("{name}: peak memory"),
                    format!("<= {MAX_MEMORY:.0} MB"),
                    format!("{memory:.1} MB"),
                    memory <= MAX_MEMORY,
                ));
                verdicts.push((
                    format!("{name}: flushed commits a request"),
                    "1".to_owned(),
                    format!("{:.2}", warm.flushes),
                    warm.flushes <= ONE_FLUSH,
                ));
            }
        }
        self.verdicts.append(&mut verdicts);
        text.push_str("\nCommits count every transaction, also those that only read or count a request in the unlogged table; a flush is what a commit waits for.\n");
        Ok(())
    }

    fn cpu(&mut self, text: &mut String) -> Result<()> {
        text.push_str("| CPU of the function's process a request | gross us | net us | net, of ours |\n|---|---:|---:|---:|\n");
        for algorithm in ["ES256", "RS256"] {
            for (function, limit) in MAX_CPU {
                let nets: Vec<(Runtime, f64, f64)> = Runtime::ALL
                    .into_iter()
                    .filter_map(|runtime| self.net(runtime, function, algorithm))
                    .collect();
                let Some(ours) = nets.iter().find(|row| row.0 == Runtime::Rust).map(|row| row.2) else {
                    continue;
                };
                for (runtime, gross, net) in &nets {
                    writeln!(
                        text,
                        "| {}: {function}, {algorithm} | {gross:.0} | {net:.0} | {:.2} x |",
                        runtime.name(),
                        net / ours
                    )?;
                }
                let best = nets
                    .iter()
                    .filter(|row| row.0 != Runtime::Rust)
                    .map(|row| row.2)
                    .fold(f64::INFINITY, f64::min);
                if algorithm == "ES256" {
                    let share = ours / best;
                    self.judge(
                        &format!("{function}, {algorithm}: net CPU of the better peer's"),
                        format!("<= {limit:.2}"),
                        format!("{share:.2}"),
                        share <= limit,
                    );
                }
            }
        }
        text.push_str(
            "\nNet is gross less the same runtime's function that does nothing, under the same driver: ",
        );
        let gross = Runtime::ALL.map(|runtime| {
            let nothing = self.warm(runtime, "do_nothing", "ES256").map(|warm| warm.application_us);
            format!("{} {:.0} us", runtime.name(), nothing.unwrap_or_default())
        });
        writeln!(text, "{}.", gross.join(", "))?;
        Ok(())
    }

    fn warm(&self, runtime: Runtime, function: &str, algorithm: &str) -> Option<Warm> {
        let found =
            |row: &&WarmRow| row.runtime == runtime && row.function == function && row.algorithm == algorithm;
        self.warm.iter().find(found).map(|row| row.warm)
    }

    /// Gross and net.
    fn net(&self, runtime: Runtime, function: &str, algorithm: &str) -> Option<(Runtime, f64, f64)> {
        let gross = self.warm(runtime, function, algorithm)?.application_us;
        let nothing = self.warm(runtime, "do_nothing", "ES256")?.application_us;
        Some((runtime, gross, gross - nothing))
    }

    fn twenty_at_once(&mut self, text: &mut String) -> Result<()> {
        writeln!(
            text,
            "| {CLIENTS} at a time, a second, median (least to most) | | of it, ours |\n|---|---:|---:|"
        )?;
        let mut verdicts = Vec::new();
        for row in &self.throughput {
            let ours = percentile(&row.functions, 50);
            writeln!(text, "| {CLIENTS} processes of {} | {} | |", row.function, range(&row.functions))?;
            for (name, runs) in [
                ("pgbench, same statements, extended protocol as ours", &row.extended),
                ("pgbench, same statements, prepared", &row.prepared),
                ("bare driver (no pgbench here), same statements, simple protocol", &row.bare),
            ] {
                if !runs.is_empty() {
                    writeln!(text, "| {name} | {} | {:.2} |", range(runs), ours / percentile(runs, 50))?;
                }
            }
            let beside = if row.extended.is_empty() { &row.bare } else { &row.extended };
            let share = ours / percentile(beside, 50);
            verdicts.push((
                format!("{}: throughput of pgbench's", row.function),
                format!(">= {MIN_THROUGHPUT}"),
                format!("{share:.2}"),
                share >= MIN_THROUGHPUT,
            ));
        }
        self.verdicts.append(&mut verdicts);
        Ok(())
    }
}
