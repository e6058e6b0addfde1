//! `cargo xtask dev`: the stack, until Ctrl-C.

use crate::command;
use crate::stack::{Addresses, Stack, StackOptions};
use anyhow::{Context, Result};
use std::net::TcpListener;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Options {
    /// Where the API answers, on 127.0.0.1
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Raise the rate limits, for load and fuzz runs
    #[arg(long)]
    relaxed_limits: bool,
}

pub async fn run(options: Options) -> Result<ExitCode> {
    let Options { port, relaxed_limits } = options;
    // Said now rather than when all is built.
    drop(
        TcpListener::bind(("127.0.0.1", port))
            .with_context(|| format!("port {port}; --port takes another"))?,
    );
    let start = Stack::start(StackOptions { port, relaxed_limits, run_schedules: true });
    let stack = tokio::select! {
        stack = start => stack?,
        result = command::interrupted() => return result.map(|()| ExitCode::FAILURE),
    };
    stack.addresses.write()?;
    welcome(&stack.addresses);
    let interrupted = command::interrupted().await;
    println!("\nstopping");
    Addresses::forget();
    stack.stop().await.and(interrupted)?;
    Ok(ExitCode::SUCCESS)
}

fn welcome(addresses: &Addresses) {
    let Addresses { api, sandbox, database_url } = addresses;
    println!(
        r#"
ready {api}

A first request to paste; `cargo xtask demo` goes all the way:

  curl -s {api}/v1/challenges -H 'content-type: application/json' \
    -d '{{"did":"did:mnemonic:0f1e2d3c4b5a6978","challenge_type":"default_registration"}}'

sandbox    {sandbox}
database   {database_url}
logs       target/dev/functions.log

Ctrl-C stops everything."#
    );
}
