//! A run in steps: each named and timed, all of them run, the failed ones told again at the end.

use anyhow::Result;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a step counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
    /// A check that is one thing to pass or fail.
    pub const PASSED: Self = Self { passed: 1, failed: 0 };
}

#[derive(Default)]
pub struct Steps {
    total: Tally,
    failures: Vec<String>,
    lines: Vec<String>,
}

impl Steps {
    /// Runs one step; a failure is printed and remembered, and the run goes on.
    pub async fn step(&mut self, name: &str, work: impl Future<Output = Result<Tally>>) {
        println!("\n== {name}");
        let started = Instant::now();
        let result = work.await;
        let took = seconds(started.elapsed());
        let tally = match &result {
            Ok(tally) => *tally,
            Err(error) => {
                eprintln!("{error:#}");
                Tally { passed: 0, failed: 1 }
            }
        };
        self.total.passed += tally.passed;
        self.total.failed += tally.failed;
        let verdict = if tally.failed == 0 { "ok" } else { "FAILED" };
        println!("== {name}: {verdict} in {took}");
        self.lines.push(format!("{verdict:>6} {took:>9}  {name}"));
        if tally.failed > 0 {
            self.failures.push(name.to_owned());
        }
    }

    /// The summary; its last line is `N passed, N failed`.
    pub fn finish(self) -> ExitCode {
        println!("\n{}", self.lines.join("\n"));
        if !self.failures.is_empty() {
            println!("failed: {}", self.failures.join(", "));
        }
        println!("{} passed, {} failed", self.total.passed, self.total.failed);
        if self.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
