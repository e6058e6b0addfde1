//! How a setup comes to be, and into whose hands.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Claimed, LEASE, Setup, columns};
use crate::db::{DbError, GenericClient, Type, execute, query_one, query_opt};
use crate::setup::intent::Intent;
use crate::setup::steps::Step;

/// Why a setup was not begun.
#[derive(Debug)]
pub enum BeginError {
    AddressTaken,
    /// The account has a setup, and it is not this one.
    HasOther,
    Db(DbError),
}

impl From<DbError> for BeginError {
    fn from(error: DbError) -> Self {
        match error.constraint() {
            Some("lightning_setups_address_key") => Self::AddressTaken,
            Some("lightning_setups_user_id_key") => Self::HasOther,
            _ => Self::Db(error),
        }
    }
}

/// Writes down what is to be set up, due at once. Nothing is called.
pub async fn begin(
    client: &impl GenericClient,
    (id, user_id): (Uuid, Uuid),
    intent: &Intent,
    now: OffsetDateTime,
) -> Result<(), BeginError> {
    let step = Step::first(intent.source).name();
    execute(
        client,
        "WITH begun AS (
             INSERT INTO lightning_setups
                 (id, user_id, username, address, node_source, state, step, due_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, 'running', $6, $7, $7, $7))
         INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
         VALUES ($1, $2, $6, 'begun', 0, $7)",
        &[
            (&id, Type::UUID),
            (&user_id, Type::UUID),
            (&intent.username.to_string(), Type::TEXT),
            (&intent.address.to_string(), Type::TEXT),
            (&intent.source.name(), Type::TEXT),
            (&step, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// Takes the lease of a setup that is due: the one named, or whichever has waited longest. `None` when nobody's
/// turn has come. Two statements: the caller owns the transaction.
pub(in crate::setup) async fn take_up(
    client: &impl GenericClient,
    id: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<Option<Claimed>, DbError> {
    let row = query_opt(
        client,
        concat!(
            "WITH due AS (
                 SELECT id FROM lightning_setups
                 WHERE state = 'running' AND due_at <= $1 AND (CAST($3 AS uuid) IS NULL OR id = $3)
                 ORDER BY due_at LIMIT 1
                 FOR UPDATE SKIP LOCKED)
             UPDATE lightning_setups s
             SET lease_token = s.lease_token + 1, due_at = $2, runs = s.runs + 1, updated_at = $1
             FROM due WHERE s.id = due.id
             RETURNING ",
            columns!()
        ),
        &[(&now, Type::TIMESTAMPTZ), (&(now + LEASE), Type::TIMESTAMPTZ), (&id, Type::UUID)],
    )
    .await?;
    let Some(setup) = row.as_ref().map(Setup::read) else { return Ok(None) };
    let attempts = note_attempt(client, &setup, "taken_up", now).await?;
    Ok(Some(Claimed { earlier: attempts > 1, setup }))
}

/// Counts an attempt at the setup's step, before it is made; returns how many there were, this one included.
async fn note_attempt(
    client: &impl GenericClient,
    setup: &Setup,
    event: &'static str,
    now: OffsetDateTime,
) -> Result<i32, DbError> {
    let row = query_one(
        client,
        "WITH attempt AS (
             INSERT INTO lightning_setup_steps AS s (setup_id, user_id, name, state, attempts, begun_at)
             VALUES ($1, $2, $3, 'running', 1, $5)
             ON CONFLICT ON CONSTRAINT lightning_setup_steps_pkey
             DO UPDATE SET state = 'running', attempts = s.attempts + 1
             RETURNING s.attempts),
         logged AS (
             INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
             SELECT $1, $2, $3, $4, attempts, $5 FROM attempt)
         SELECT attempts FROM attempt",
        &[
            (&setup.id, Type::UUID),
            (&setup.user_id, Type::UUID),
            (&setup.step.name(), Type::TEXT),
            (&event, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(row.get("attempts"))
}

/// Lets a failed setup run again, due at once. False when it is not a failed one, or is being undone.
pub async fn retry(client: &impl GenericClient, id: Uuid, now: OffsetDateTime) -> Result<bool, DbError> {
    let logged = execute(
        client,
        "WITH again AS (
             UPDATE lightning_setups SET state = 'running', due_at = $2, failures = 0, waits = 0, updated_at = $2
             WHERE id = $1 AND state = 'failed' AND due_at <= $2 RETURNING user_id, step)
         INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
         SELECT $1, user_id, step, 'retried', 0, $2 FROM again",
        &[(&id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(logged == 1)
}
