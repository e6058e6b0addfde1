//! Lightning setup against a real Postgres and the sandbox: the saga in this process, whatever goes wrong outside it.
//!
//! `SATCHEL_FULL=1` runs what takes long in its long form; `SATCHEL_SEED` repeats what chance decided.

mod away;
mod chaos;
mod check;
mod faults;
mod fencing;
mod happy;
mod imported;
mod killed;
mod parallel;
mod patience;
mod refused;
mod scene;
mod settling;
mod strangers;
mod undo;
mod unlocked;
