//! The operator's tool as an operator runs it: the binary, a real Postgres, and Secrets Manager in the sandbox.

mod audit;
mod audit_every_row;
mod database;
mod rotate_signing;
mod secrets_new;
mod tool;
mod verify_message;
