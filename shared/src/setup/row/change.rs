//! How a setup changes while it runs.

use time::OffsetDateTime;

use super::{LEASE, Setup, columns};
use crate::db::{GenericClient, Type, execute, query_opt};
use crate::setup::SetupError;
use crate::setup::run::Progress;

/// Ends a step with what came of it and begins the next, which from here counts as attempted.
pub(in crate::setup) async fn advance(
    client: &impl GenericClient,
    setup: &Setup,
    progress: &Progress,
    now: OffsetDateTime,
) -> Result<Setup, SetupError> {
    let next = setup.step.next();
    let row = query_opt(
        client,
        concat!(
            "UPDATE lightning_setups s
             SET step = $3, due_at = $4, updated_at = $5, failures = 0, waits = 0,
                 voltage_node_id = COALESCE($6, s.voltage_node_id),
                 node_url = COALESCE($7, s.node_url),
                 node_certificate = COALESCE($8, s.node_certificate),
                 node_pubkey = COALESCE($9, s.node_pubkey),
                 wallet_initialised = s.wallet_initialised OR $10,
                 btcpay_store_id = COALESCE($11, s.btcpay_store_id),
                 btcpay_webhook_id = COALESCE($12, s.btcpay_webhook_id)
             WHERE s.id = $1 AND s.lease_token = $2 AND s.state = 'running'
             RETURNING ",
            columns!()
        ),
        &[
            (&setup.id, Type::UUID),
            (&setup.lease_token, Type::INT8),
            (&next.name(), Type::TEXT),
            (&(now + LEASE), Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
            (&progress.voltage_node_id, Type::TEXT),
            (&progress.node_url, Type::TEXT),
            (&progress.node_certificate, Type::BYTEA),
            (&progress.node_pubkey, Type::TEXT),
            (&progress.wallet_initialised, Type::BOOL),
            (&progress.btcpay_store_id, Type::TEXT),
            (&progress.btcpay_webhook_id, Type::TEXT),
        ],
    )
    .await?;
    let advanced = row.as_ref().map(Setup::read).ok_or(SetupError::LeaseLost)?;
    execute(
        client,
        "WITH ended AS (
             UPDATE lightning_setup_steps SET state = 'done', ended_at = $5, last_error_code = NULL
             WHERE setup_id = $1 AND name = $3 RETURNING attempts),
         begun AS (
             INSERT INTO lightning_setup_steps AS s (setup_id, user_id, name, state, attempts, begun_at)
             SELECT $1, $2, $4, 'running', 1, $5 WHERE $4 <> 'activate'
             ON CONFLICT ON CONSTRAINT lightning_setup_steps_pkey
             DO UPDATE SET state = 'running', attempts = s.attempts + 1)
         INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
         SELECT $1, $2, $3, 'done', attempts, $5 FROM ended",
        &[
            (&setup.id, Type::UUID),
            (&setup.user_id, Type::UUID),
            (&setup.step.name(), Type::TEXT),
            (&next.name(), Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(advanced)
}

/// Why a run ends without the step done, and when somebody may go on.
#[derive(Clone, Copy, Debug)]
pub(in crate::setup) struct Stop<'a> {
    /// `waiting`, `failed` or `given_up`.
    pub(in crate::setup) event: &'static str,
    pub(in crate::setup) code: Option<&'a str>,
    pub(in crate::setup) detail: Option<&'a str>,
    /// Nobody goes on until somebody asks.
    pub(in crate::setup) final_: bool,
    /// It was looked at and not ready; there is an end to that.
    pub(in crate::setup) looked: bool,
    pub(in crate::setup) due_at: OffsetDateTime,
}

/// Gives the lease back.
pub(in crate::setup) async fn stop(
    client: &impl GenericClient,
    setup: &Setup,
    stop: &Stop<'_>,
    now: OffsetDateTime,
) -> Result<(), SetupError> {
    let failed = stop.event != "waiting";
    let changed = execute(
        client,
        "UPDATE lightning_setups
         SET state = CASE WHEN $3 THEN 'failed' ELSE state END, due_at = $4, updated_at = $5,
             failures = failures + CASE WHEN $6 THEN 1 ELSE 0 END, waits = waits + CASE WHEN $7 THEN 1 ELSE 0 END
         WHERE id = $1 AND lease_token = $2 AND state = 'running'",
        &[
            (&setup.id, Type::UUID),
            (&setup.lease_token, Type::INT8),
            (&stop.final_, Type::BOOL),
            (&stop.due_at, Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
            (&failed, Type::BOOL),
            (&stop.looked, Type::BOOL),
        ],
    )
    .await?;
    if changed != 1 {
        return Err(SetupError::LeaseLost);
    }
    execute(
        client,
        "WITH stopped AS (
             UPDATE lightning_setup_steps
             SET state = CASE WHEN $4 THEN 'failed' ELSE state END, last_error_code = COALESCE($5, last_error_code)
             WHERE setup_id = $1 AND name = $3 RETURNING attempts)
         INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, error_code, detail, created_at)
         SELECT $1, $2, $3, $6, attempts, $5, $7, $8 FROM stopped",
        &[
            (&setup.id, Type::UUID),
            (&setup.user_id, Type::UUID),
            (&setup.step.name(), Type::TEXT),
            (&stop.final_, Type::BOOL),
            (&stop.code, Type::TEXT),
            (&stop.event, Type::TEXT),
            (&stop.detail, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// Forgets a node that cannot be used, and goes back to making one, under a name of its own.
pub(in crate::setup) async fn start_over(
    client: &impl GenericClient,
    setup: &Setup,
    code: &'static str,
    now: OffsetDateTime,
) -> Result<Setup, SetupError> {
    let row = query_opt(
        client,
        concat!(
            "UPDATE lightning_setups s
             SET step = 'create_node', generation = s.generation + 1, voltage_node_id = NULL, node_url = NULL,
                 node_certificate = NULL, node_pubkey = NULL, failures = s.failures + 1, waits = 0, due_at = $3,
                 updated_at = $4
             WHERE s.id = $1 AND s.lease_token = $2 AND s.state = 'running' AND NOT s.wallet_initialised
             RETURNING ",
            columns!()
        ),
        &[
            (&setup.id, Type::UUID),
            (&setup.lease_token, Type::INT8),
            (&(now + LEASE), Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    let again = row.as_ref().map(Setup::read).ok_or(SetupError::LeaseLost)?;
    execute(
        client,
        "WITH reset AS (
             UPDATE lightning_setup_steps SET state = 'failed', last_error_code = $4
             WHERE setup_id = $1 AND name = $3),
         begun AS (
             UPDATE lightning_setup_steps SET state = 'running', attempts = attempts + 1, begun_at = $5
             WHERE setup_id = $1 AND name = 'create_node')
         INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, error_code, created_at)
         VALUES ($1, $2, $3, 'started_over', $6, $4, $5)",
        &[
            (&setup.id, Type::UUID),
            (&setup.user_id, Type::UUID),
            (&setup.step.name(), Type::TEXT),
            (&code, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
            (&setup.generation, Type::INT4),
        ],
    )
    .await?;
    Ok(again)
}
