//! Lightning setup against a real Postgres and the sandbox: the saga in this process, whatever goes wrong outside it.
//!
//! `SATCHEL_FULL=1` runs what takes long in its long form.

mod chaos;
mod check;
mod faults;
mod fencing;
mod happy;
mod killed;
mod scene;
mod strangers;
