//! Journeys over the gateway, the way a client calls it.

mod canaries;
mod connections;
mod errors;
mod killed;
mod races;
mod rate_limit;
mod request_ids;
mod restarts;
mod secrets;
mod setup;
mod sign_in;
mod watch;
mod webhooks;
