//! What the tests stand on: a real Postgres, a database for each test, and a world around it.
//!
//! - [`postgres`]   finds, fetches, starts and stops a cluster
//! - [`deployment`] what an operator does once: roles, database, migrations, secrets
//! - [`database`]   [`TestDb`]: a database of its own for each test
//! - [`world`]      [`World`]: that database, a sandbox, a clock, and any function wired to them
//! - [`request`]    requests as the gateway passes them on, and what came back
//! - [`people`]     users who sign in without a node
//! - [`statements`] what a function says to Postgres, listened to on the way
//! - [`mailed`]     mail that is sent before it is looked for
//! - [`store`]      a user whose Lightning setup is done
//! - [`sell`]       something to be paid for: a checkout session, an invoice
//! - [`binary`]     a function's real binary over a Runtime API, and what every function owes
//!
//! `cargo xtask test` starts the cluster and names it in `SATCHEL_TEST_DATABASE_URL`.

pub mod binary;
pub mod database;
pub mod deployment;
pub mod mailed;
pub mod people;
pub mod postgres;
pub mod request;
pub mod sell;
pub mod statements;
pub mod store;
pub mod world;

pub use anyhow::Result;
pub use database::TestDb;
pub use people::Person;
pub use request::{Call, Outcome};
pub use store::Store;
pub use world::{SignedIn, World};
