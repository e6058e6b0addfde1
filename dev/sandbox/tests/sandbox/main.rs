//! The sandbox over real HTTP.

mod client;
mod control;
mod faults;
mod lifecycle;
mod lnd;
mod macaroons;
mod secrets_manager;
