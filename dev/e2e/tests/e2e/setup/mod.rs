//! Lightning setup by the real binaries: what a user sees, and what is there whoever dies on the way.

pub mod calls;
mod check;
mod journey;
mod killed;
mod stalled;
