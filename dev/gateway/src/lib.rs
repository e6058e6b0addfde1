//! API Gateway and Lambda on one machine: `template.yaml` and the built binaries, behind one HTTP port.
//!
//! ```text
//! client ──HTTP──► front ──event──► lambda ◄──Runtime API── process (the function's binary)
//! ```
//!
//! - `template`   what `template.yaml` says (`intrinsics`: what its `!Ref`, `!Sub`, `!If` … come to)
//! - `gateway`    [`Gateway`]: the whole
//! - `front`      a request in, an answer out (`route`, `event`, `answer`, `cors`)
//! - `lambda`     one function: its queue and who serves whom (`state`, `failure`)
//! - `process`    one process of a function, from its start to its end
//! - `runtime_api`  what the processes talk to
//! - `single`     [`RuntimeApi`]: one binary, driven directly, for tests and benchmarks
//!
//! What differs from AWS is said where it does: a caller whose function fails gets the one error form and a
//! header `x-gateway-error`; a direct invocation that fails is a 500; authorizers, stages and throttling rates
//! are not played.

mod answer;
mod clock;
mod cors;
mod event;
mod failure;
mod front;
mod gateway;
mod intrinsics;
mod lambda;
mod process;
mod route;
mod runtime_api;
mod schedule;
mod server;
mod single;
mod state;
mod template;

pub use cors::Cors;
pub use event::{http_event, routed_http_event};
pub use gateway::{Gateway, GatewayOptions};
pub use route::Route;
pub use schedule::Schedule;
pub use single::{Exit, Invocation, RuntimeApi};
pub use template::{Function, Template};

use std::sync::Arc;

/// Takes a function's name and a line of its output. It is called with locks held: it must not call back.
pub type LogSink = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// The region every function believes to be in, unless its environment says another.
pub const REGION: &str = "us-east-1";

const ACCOUNT: &str = "000000000000";
