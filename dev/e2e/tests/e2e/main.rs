//! Journeys over the gateway, the way a client calls it.

mod canaries;
mod connections;
mod errors;
mod foreign_tokens;
mod killed;
mod ownership;
mod providers_away;
mod races;
mod rate_limit;
mod request_ids;
mod restarts;
mod secrets;
mod setup;
mod sign_in;
mod watch;
mod webhooks;
