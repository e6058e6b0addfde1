//! Runs the cases one after the other on one stack, and tells of them as `cargo test` does: a stack is some thirty
//! processes, and forty of them would take longer than all cases together.

use std::collections::BTreeSet;
use std::io::Write;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::openapi;

use crate::world::World;

type Running = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One endpoint of the contract.
#[derive(Clone, Copy)]
pub struct Case {
    /// `a3_14_post_auth_login`.
    pub name: &'static str,
    pub route: &'static str,
    pub run: fn(Arc<World>) -> Running,
}

/// Functions, each with the route it is the case of, as [`Case`]s.
macro_rules! cases {
    ($($name:ident: $route:literal,)*) => {
        pub const CASES: &[$crate::harness::Case] = &[$($crate::harness::Case {
            name: stringify!($name),
            route: $route,
            run: |world| Box::pin($name(world)),
        }),*];
    };
}
pub(crate) use cases;

/// What `cargo test` hands on.
struct Arguments {
    filters: Vec<String>,
    exact: bool,
    list: bool,
}

impl Arguments {
    fn read() -> Self {
        let (options, filters): (Vec<String>, Vec<String>) =
            std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
        let given = |name: &str| options.iter().any(|option| option == name);
        Self { filters, exact: given("--exact"), list: given("--list") }
    }

    fn wants(&self, name: &str) -> bool {
        let matches =
            |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        self.filters.is_empty() || self.filters.iter().any(matches)
    }
}

pub fn main(cases: &[Case]) -> ExitCode {
    let arguments = Arguments::read();
    let chosen: Vec<Case> = cases.iter().copied().filter(|case| arguments.wants(case.name)).collect();
    if arguments.list {
        for case in &chosen {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    match the_contract_is_covered(cases).and_then(|()| run(&chosen)) {
        Ok(Tally { passed, failed, seconds }) => {
            let verdict = if failed == 0 { "ok" } else { "FAILED" };
            let left = cases.len() - chosen.len();
            println!(
                "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; \
                 {left} filtered out; finished in {seconds:.2}s\n"
            );
            if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Every number of the contract once, and every route one of ours.
fn the_contract_is_covered(cases: &[Case]) -> Result<()> {
    let number = |case: &Case| case.name.strip_prefix("a3_")?.get(..2)?.parse().ok();
    let numbers: BTreeSet<u32> = cases.iter().filter_map(number).collect();
    ensure!(cases.len() == 40 && numbers == (14..=53).collect(), "not 14 to 53, each once: {numbers:?}");
    let routes: BTreeSet<String> = openapi::operations()?.iter().map(openapi::Operation::route).collect();
    for case in cases {
        ensure!(routes.contains(case.route), "{}: {} is not in openapi.yaml", case.name, case.route);
    }
    let claimed: BTreeSet<&str> = cases.iter().map(|case| case.route).collect();
    ensure!(claimed.len() == cases.len(), "a route in two cases");
    Ok(())
}

struct Tally {
    passed: usize,
    failed: usize,
    seconds: f64,
}

fn run(cases: &[Case]) -> Result<Tally> {
    println!("\nrunning {} tests", cases.len());
    let started = Instant::now();
    let mut tally = Tally { passed: 0, failed: 0, seconds: 0.0 };
    if !cases.is_empty() {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(on_a_stack(cases, &mut tally))?;
    }
    tally.seconds = started.elapsed().as_secs_f64();
    Ok(tally)
}

async fn on_a_stack(cases: &[Case], tally: &mut Tally) -> Result<()> {
    let world = Arc::new(World::start().await?);
    let mut failures = Vec::new();
    for case in cases {
        print!("test {} ... ", case.name);
        std::io::stdout().flush()?;
        // A task of its own: one that panics is one that fails, and what was started is stopped all the same.
        let ended = tokio::spawn((case.run)(Arc::clone(&world))).await;
        match ended.context("it panicked").and_then(|result| result) {
            Ok(()) => {
                println!("ok");
                tally.passed += 1;
            }
            Err(error) => {
                println!("FAILED");
                failures.push(format!("---- {} ({}) ----\n{error:#}", case.name, case.route));
                tally.failed += 1;
            }
        }
    }
    if !failures.is_empty() {
        println!("\nfailures:\n\n{}", failures.join("\n\n"));
    }
    let world = Arc::into_inner(world).context("a case holds on to the stack")?;
    world.stop().await
}
