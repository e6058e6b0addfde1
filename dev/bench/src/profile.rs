//! One function at work for long enough to look at it: `cargo xtask bench profile FUNCTION -- perf record -p`
//! runs the tool with the process's number as its last argument.

use crate::single::{invoke, start};
use crate::world::{Runtime, World};
use crate::{machine, seed};
use anyhow::{Context, Result};
use std::time::Instant;
use tokio::process::Command;

#[derive(clap::Args)]
pub struct Options {
    /// Such as `verify_lightning_signature`, as it was last built
    function: String,
    #[arg(long, default_value_t = 5_000)]
    requests: u64,
    /// What is to look at it, such as `strace -c -f -p`; it is ended with SIGINT
    #[arg(last = true)]
    tool: Vec<String>,
}

pub async fn run(options: &Options) -> Result<()> {
    let world = World::start().await?;
    seed::accounts(&world).await?;
    let numbers = 10_000_000..10_000_000 + options.requests + 100;
    let mut events = if options.function == "verify_lightning_signature" {
        seed::answers(&world, numbers).await?
    } else {
        seed::questions(numbers)?
    };
    let measured = events.split_off(100);
    let api = start(&world, Runtime::Rust, &options.function).await?;
    for event in events {
        invoke(&api, event).await?;
    }
    let tool = look(&options.tool, api.pid())?;
    let (begin, before) = (Instant::now(), machine::cpu_ns(api.pid())?);
    for event in measured {
        invoke(&api, event).await?;
    }
    let cpu = machine::ratio(machine::cpu_ns(api.pid())? - before, options.requests * 1_000);
    println!(
        "{cpu:.1} us of CPU a request, {:.3} ms each",
        begin.elapsed().as_secs_f64() * 1e3 / machine::ratio(options.requests, 1)
    );
    if let Some(mut tool) = tool {
        let pid = tool.id().context("the tool has ended")?.to_string();
        Command::new("kill").args(["-INT", &pid]).status().await?;
        tool.wait().await?;
    }
    world.stop()
}

fn look(tool: &[String], pid: u32) -> Result<Option<tokio::process::Child>> {
    let Some((program, arguments)) = tool.split_first() else { return Ok(None) };
    Ok(Some(Command::new(program).args(arguments).arg(pid.to_string()).spawn()?))
}
