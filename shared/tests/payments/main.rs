//! Payments against a real Postgres: what Stripe tells, in any order, any number of times, and not at all.
//!
//! `SATCHEL_FULL=1` runs what takes long in its long form.

mod delivery;
mod histories;
mod history;
mod orders;
mod others;
mod scene;
mod story;
mod together;
mod unclaimed;
