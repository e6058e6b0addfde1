//! The forty endpoints of the interface this one takes the place of: one case each, named after its number there, its
//! method and its path. `cargo test -p e2e --test contract_a3 a3_28` runs one of them.

mod activity_logs;
mod auth;
mod harness;
mod notifications;
mod private_beta;
mod sessions;
mod users;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cases = [
        auth::CASES,
        users::CASES,
        sessions::CASES,
        notifications::CASES,
        activity_logs::CASES,
        private_beta::CASES,
        world::CASES,
    ];
    harness::main(&cases.concat())
}
