//! `cargo xtask bench NAME`: measurements against peers, all of them in one run on one machine.
//!
//! - `signin`      the run and its order
//! - `binaries`    builds what is measured, and the floors it is measured against
//! - `peers`       the same endpoints in Python and Node, installed and wrapped as functions
//! - `world`       a durable Postgres, the sandbox, environments
//! - `seed`        accounts, challenges and the signed events that answer them
//! - `same_work`   that every contender runs the same statements in the same order
//! - `single`      one process: cold start, latency, CPU, memory
//! - `throughput`  twenty processes at once, beside `pgbench` (`script`)
//! - `profile`     one process at work, for a profiler to look at
//! - `counters`    what Postgres counted while it was measured
//! - `setup`       Lightning setup, beside `pgbench` (no function is built: the saga runs in this process)
//! - `webhooks`    Stripe's events, beside Express, `FastAPI` and pgbench; what they cost by the size of the inbox
//! - `accounts`    me, refresh, sessions and login, beside Express with Prisma, Express with `pg`, and `FastAPI`
//! - `server`      a server in a process of its own, and a line to it
//! - `machine`     what Linux says about processes and load
//! - `report`      the tables and the verdicts (`figures`), and where they are kept (`document`)

mod accounts;
mod binaries;
mod counters;
mod document;
mod figures;
mod machine;
mod peers;
mod profile;
mod report;
mod same_work;
mod script;
mod seed;
mod server;
mod setup;
mod signin;
mod single;
mod throughput;
mod webhooks;
mod world;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
enum Benchmark {
    /// Create a challenge, verify a signature: beside a function that does nothing, Python, Node and pgbench
    Signin(signin::Options),
    /// Lightning setup: its commits, setups a second beside pgbench, the resumer's queue, a rotation of keys
    Setup(setup::Options),
    /// Stripe's events: new ones and copies, beside Express, `FastAPI` and pgbench, with up to ten million in the inbox
    Webhooks(webhooks::Options),
    /// Me, refresh, sessions, login: beside Express with Prisma and with `pg`, and `FastAPI`, up to a thousand at a time
    Accounts(accounts::Options),
    /// One function at work, for a profiler to look at
    Profile(profile::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Benchmark::parse() {
        Benchmark::Signin(options) => signin::run(&options).await,
        Benchmark::Setup(options) => setup::run(&options).await,
        Benchmark::Webhooks(options) => webhooks::run(&options).await,
        Benchmark::Accounts(options) => accounts::run(&options).await,
        Benchmark::Profile(options) => profile::run(&options).await,
    }
}
