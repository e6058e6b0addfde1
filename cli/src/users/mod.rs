//! Accounts as an operator sees them, and the three things an operator does to them.
//!
//! ```text
//! list, show, sessions   who there is, what they sign in with, where they are signed in
//! revoke                 sessions ended
//! grant_admin            an administrator made, or made one no more
//! find                   the account that is meant: by id, e-mail, DID or node key
//! ```

mod find;
mod grant_admin;
mod list;
mod revoke;
mod sessions;
mod show;

use anyhow::Result;
use serde_json::Value;
use shared::audit::{self, AuditKey, Entry, Origin};
use shared::db::Transaction;
use shared::random::Random;
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    List(list::Args),
    Show(show::Args),
    Sessions(sessions::Args),
    Revoke(revoke::Args),
    GrantAdmin(grant_admin::Args),
}

pub async fn run(command: Command) -> Result<String> {
    match command {
        Command::List(args) => list::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Sessions(args) => sessions::run(args).await,
        Command::Revoke(args) => revoke::run(args).await,
        Command::GrantAdmin(args) => grant_admin::run(args).await,
    }
}

/// Writes down what was done to an account, in its chain.
async fn note(
    tx: &Transaction<'_>,
    key: &AuditKey,
    (action, command): (&'static str, &'static str),
    (user_id, details): (Uuid, Value),
    now: OffsetDateTime,
) -> Result<()> {
    let entry = Entry {
        user_id: Some(user_id),
        action,
        resource: ("user", &user_id.to_string()),
        details,
        origin: Origin { ip: None, request_id: command },
        now,
    };
    Ok(audit::append(tx, key, &entry, &Random::system()).await?)
}
