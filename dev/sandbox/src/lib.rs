//! The outside world in one process: what Satchel talks to, able to misbehave.
//!
//! ```text
//! server            one listener on 127.0.0.1; which service is meant; counts, faults, then the work
//!   ├─ secrets_manager   AWS Secrets Manager: POST / with `X-Amz-Target: secretsmanager.…`
//!   ├─ lnd               LND nodes: /<node>/v1/…, real macaroons and real secp256k1 signatures
//!   └─ control           /sandbox/…: the same handles over HTTP, for another process
//! fault             scripted misbehaviour      counts   every request, everything created and deleted
//! world             what all of them share     seed     where every "random" byte comes from
//! ```
//!
//! A further service is a module with its state and an `answer`, and one variant of [`Service`]; the compiler
//! then names the places to fill in.
//!
//! The same seed and the same calls in the same order give the same keys, macaroons and version ids.
//!
//! # Over HTTP
//!
//! What a program in another process may ask of the sandbox (bodies are JSON, errors are `{"error":"…"}`):
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /sandbox/nodes` | `{"name":"node12"}`, optional `"initialised"`, `"blackholed"`, `"public"` (booleans), `"secret_key"` (64 hex) | 201 a node; 409 when the name is taken |
//! | `GET /sandbox/nodes` | | `{"nodes":[…]}` |
//! | `GET /sandbox/nodes/{name}` | | `{"name","pubkey","base_url","admin_macaroon","invoice_macaroon"}` |
//! | `GET /sandbox/calls` | | `{"calls":[{"service","method","path","count"}],"objects":[{"service","kind","created","deleted"}]}` |
//! | `GET /sandbox/faults` | | `{"faults":[…]}`, those still to fire |
//! | `POST /sandbox/faults` | a [`Fault`] | 201 the fault |
//! | `DELETE /sandbox/faults` | | 204, everything behaves again |
//!
//! A fault, with every member but `misbehave` optional:
//!
//! ```json
//! {"route":{"service":"lnd","method":"POST","path":"/node12/v1/signmessage"},
//!  "when":{"times":2},
//!  "misbehave":{"fail_before":{"status":503,"body":"busy"}}}
//! ```
//!
//! `service` is `lnd` or `secrets_manager`; `path` is a prefix; `when` is `"always"`, `{"times":n}` or
//! `{"probability":0.1}`; `misbehave` is one of [`Misbehaviour`].

mod clock;
mod control;
mod counts;
mod fault;
pub mod lnd;
mod reply;
pub mod secrets_manager;
mod seed;
mod server;
mod world;

pub use counts::{Call, Objects};
pub use fault::{Fault, Faults, Misbehaviour, Route, When};
pub use server::{Sandbox, SandboxOptions, Service};
pub use world::Handle;
