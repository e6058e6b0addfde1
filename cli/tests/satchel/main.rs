//! The operator's tool as an operator runs it: the binary, a real Postgres, and Secrets Manager in the sandbox.

mod audit;
mod audit_every_row;
mod database;
mod keys;
mod keys_and_setups;
mod keys_under_load;
mod keys_world;
mod rotate_signing;
mod secrets_new;
mod setup_list;
mod setup_planted;
mod setup_refused;
mod setup_repair;
mod setup_retry;
mod setup_show;
mod setup_sweep;
mod setup_undo;
mod setup_world;
mod tool;
mod verify_message;
