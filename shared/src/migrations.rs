//! Brings the schema up to date: append-only steps, each in a transaction of its own, under one lock.

use std::fmt;

use time::OffsetDateTime;
use tokio_postgres::Client;

use crate::crypto::sha256;
use crate::db::{DbError, Type, execute, query};

/// "satchel" on a telephone keypad; any number will do as long as all runs agree on it.
const LOCK: i64 = 7_282_435;

/// Every step, in order. A step that has run anywhere is never edited: add another.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "accounts", sql: include_str!("../../migrations/0001_accounts.sql") },
    Migration { version: 2, name: "challenges", sql: include_str!("../../migrations/0002_challenges.sql") },
    Migration { version: 3, name: "nodes", sql: include_str!("../../migrations/0003_nodes.sql") },
    Migration { version: 4, name: "audit", sql: include_str!("../../migrations/0004_audit.sql") },
    Migration {
        version: 5,
        name: "signing_keys",
        sql: include_str!("../../migrations/0005_signing_keys.sql"),
    },
    Migration {
        version: 6,
        name: "limits_and_idempotency",
        sql: include_str!("../../migrations/0006_limits_and_idempotency.sql"),
    },
    Migration {
        version: 7,
        name: "lightning_setups",
        sql: include_str!("../../migrations/0007_lightning_setups.sql"),
    },
    Migration {
        version: 8,
        name: "provider_breakers",
        sql: include_str!("../../migrations/0008_provider_breakers.sql"),
    },
    Migration { version: 9, name: "reseal", sql: include_str!("../../migrations/0009_reseal.sql") },
    Migration {
        version: 10,
        name: "invoices_and_webhooks",
        sql: include_str!("../../migrations/0010_invoices_and_webhooks.sql"),
    },
    Migration { version: 11, name: "payments", sql: include_str!("../../migrations/0011_payments.sql") },
    Migration {
        version: 12,
        name: "identities_and_passwords",
        sql: include_str!("../../migrations/0012_identities_and_passwords.sql"),
    },
    Migration { version: 13, name: "sessions", sql: include_str!("../../migrations/0013_sessions.sql") },
    Migration {
        version: 14,
        name: "wallets_and_locks",
        sql: include_str!("../../migrations/0014_wallets_and_locks.sql"),
    },
    Migration {
        version: 15,
        name: "preferences_and_private_beta",
        sql: include_str!("../../migrations/0015_preferences_and_private_beta.sql"),
    },
    Migration {
        version: 16,
        name: "activity_logs",
        sql: include_str!("../../migrations/0016_activity_logs.sql"),
    },
];

struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

#[derive(Debug)]
pub enum MigrationError {
    /// A step that ran here reads differently now.
    Edited {
        version: i32,
    },
    /// The database has steps this build does not know: an older build must not run on it.
    Newer {
        version: i32,
    },
    Step {
        version: i32,
        source: DbError,
    },
    Db(DbError),
}

impl fmt::Display for MigrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited { version } => write!(f, "migration {version} was edited after it ran"),
            Self::Newer { version } => {
                write!(f, "the database has migration {version}, which this build lacks")
            }
            Self::Step { version, .. } => write!(f, "migration {version} failed and was rolled back"),
            Self::Db(_) => f.write_str("the migrations could not be read or recorded"),
        }
    }
}

impl std::error::Error for MigrationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Step { source, .. } | Self::Db(source) => Some(source),
            Self::Edited { .. } | Self::Newer { .. } => None,
        }
    }
}

impl<E: Into<DbError>> From<E> for MigrationError {
    fn from(error: E) -> Self {
        Self::Db(error.into())
    }
}

/// One digest for the whole list: two builds with the same digest make the same schema.
pub fn digest() -> String {
    let all: Vec<u8> = MIGRATIONS.iter().flat_map(|step| step.sql.bytes()).collect();
    data_encoding::HEXLOWER.encode(&sha256(&all)[..8])
}

/// Runs every step the database lacks and returns their names. `client` is a direct connection as
/// `satchel_owner`: a pooler would lose the lock.
pub async fn run(client: &mut Client, now: OffsetDateTime) -> Result<Vec<&'static str>, MigrationError> {
    client.query_typed("SELECT pg_advisory_lock($1)", &[(&LOCK, Type::INT8)]).await.map_err(DbError::from)?;
    let outcome = run_locked(client, now).await;
    let unlocked = client.query_typed("SELECT pg_advisory_unlock($1)", &[(&LOCK, Type::INT8)]).await;
    // A step that broke the connection is what went wrong, not the lock that went with it.
    let applied = outcome?;
    unlocked.map_err(DbError::from)?;
    Ok(applied)
}

async fn run_locked(client: &mut Client, now: OffsetDateTime) -> Result<Vec<&'static str>, MigrationError> {
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (
                 version    integer CONSTRAINT schema_migrations_pkey PRIMARY KEY,
                 name       text NOT NULL,
                 checksum   bytea NOT NULL,
                 applied_at timestamptz NOT NULL
             )",
        )
        .await
        .map_err(DbError::from)?;
    let applied =
        query(client, "SELECT version, checksum FROM schema_migrations ORDER BY version", &[]).await?;
    for row in &applied {
        let version: i32 = row.get("version");
        let step = MIGRATIONS.iter().find(|step| step.version == version);
        let step = step.ok_or(MigrationError::Newer { version })?;
        if row.get::<_, &[u8]>("checksum") != sha256(step.sql.as_bytes()) {
            return Err(MigrationError::Edited { version });
        }
    }
    let done = applied.len();
    for step in &MIGRATIONS[done..] {
        apply(client, step, now)
            .await
            .map_err(|source| MigrationError::Step { version: step.version, source })?;
    }
    Ok(MIGRATIONS[done..].iter().map(|step| step.name).collect())
}

async fn apply(client: &mut Client, step: &Migration, now: OffsetDateTime) -> Result<(), DbError> {
    let tx = client.transaction().await?;
    tx.batch_execute(step.sql).await?;
    execute(
        &tx,
        "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
        &[
            (&step.version, Type::INT4),
            (&step.name, Type::TEXT),
            (&sha256(step.sql.as_bytes()).as_slice(), Type::BYTEA),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(tx.commit().await?)
}
