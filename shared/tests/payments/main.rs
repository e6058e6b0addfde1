//! Payments against a real Postgres: what Stripe tells, in any order, any number of times, and not at all.
//!
//! `SATCHEL_FULL=1` runs what takes long in its long form.

mod orders;
mod scene;
mod story;
