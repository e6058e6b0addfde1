//! What a client of the API sees, over several binaries at once.
//!
//! - [`stack`]   [`Stack`]: a database, the sandbox, and every built function behind one port
//! - [`client`]  requests and answers, as a client makes and reads them
//! - [`form`]    the one error body and the closed list of its codes, written down a second time
//! - [`log`]     what the functions wrote, and the access line of a request
//! - [`owner`]   a person with a node: signs in, registers the node
//! - [`person`]  a person with an e-mail address: registers, verifies it, logs in
//! - [`providers`] signing in by Discord and Privy
//! - [`tokens`]  access tokens, read and signed anew
//! - [`openapi`] what `openapi.yaml` promises, operation by operation
//! - [`setup`]   the owner asking for a store and a node, and what is there then
//!
//! The functions are the binaries beside the test executable: `cargo build` makes them, `cargo xtask test` does
//! that first. `SATCHEL_FULL=1` runs what takes long in its long form.

pub mod client;
pub mod form;
pub mod log;
pub mod openapi;
pub mod owner;
pub mod person;
pub mod providers;
pub mod setup;
pub mod stack;
pub mod tokens;

pub use anyhow::Result;
pub use client::{Answer, Client};
pub use log::Log;
pub use owner::{Owner, Tokens};
pub use person::{Person, Session};
pub use stack::{Stack, StackOptions};

/// Whether to take the time (`cargo xtask test --full`).
pub fn full() -> bool {
    std::env::var_os("SATCHEL_FULL").is_some_and(|value| value == "1")
}
