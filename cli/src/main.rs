//! `satchel`: prints what a command has to say, or in one line why it could not be done, and exits 0 or 1.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use satchel::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match satchel::run(Cli::parse()).await {
        // Whoever closed the pipe has read enough.
        Ok(text) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "satchel: {}", satchel::one_line(&error));
            ExitCode::FAILURE
        }
    }
}
