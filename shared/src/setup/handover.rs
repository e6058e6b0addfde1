//! The seed of a wallet we made, given to its owner once and then forgotten.

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::keys;
use super::row;
use crate::audit::{AuditError, Auditor, Entry, Origin};
use crate::crypto::{KeyRing, OpenError, Secret};
use crate::db::{DbError, GenericClient, Type, execute, query_opt};
use crate::session::Session;

/// An answer can be lost, and a seed that is lost is lost for good: for so long the very session it went to may ask
/// again.
pub const GRACE: Duration = Duration::seconds(60);

#[derive(Debug)]
pub enum HandoverError {
    /// The account has no wallet that we made.
    NoWallet,
    /// It was handed over before.
    Gone,
    Open(OpenError),
    Audit(AuditError),
    Db(DbError),
}

/// A seed on its way to its owner.
pub struct Handover {
    pub words: Secret<Vec<String>>,
    /// From when on nobody gets it again.
    pub erased_at: OffsetDateTime,
}

impl From<DbError> for HandoverError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// The words of the session's own wallet, in the caller's transaction. From the first time on they go to this
/// session only, and only within [`GRACE`]; after that they are erased.
pub async fn take(
    client: &impl GenericClient,
    session: &Session,
    (ring, audit): (&KeyRing, &Auditor),
    (origin, now): (Origin<'_>, OffsetDateTime),
) -> Result<Handover, HandoverError> {
    let setup = row::find_of(client, session.user_id).await?;
    let setup = setup.filter(|setup| setup.wallet_initialised);
    let setup = setup.ok_or(HandoverError::NoWallet)?;
    let row = query_opt(
        client,
        "SELECT seed_sealed, seed_handed_over_at, seed_handed_over_to FROM lightning_setup_secrets
         WHERE setup_id = $1 FOR UPDATE",
        &[(&setup.id, Type::UUID)],
    )
    .await?
    .ok_or(HandoverError::NoWallet)?;
    let before: Option<OffsetDateTime> = row.get("seed_handed_over_at");
    let to: Option<uuid::Uuid> = row.get("seed_handed_over_to");
    let again = before.is_none_or(|at| now - at <= GRACE && to == Some(session.id));
    let sealed = row.get::<_, Option<&[u8]>>("seed_sealed").filter(|_| again).ok_or(HandoverError::Gone)?;
    let words = ring.open(keys::field(&setup.id, "seed_sealed"), sealed).map_err(HandoverError::Open)?;
    execute(
        client,
        "UPDATE lightning_setup_secrets
         SET seed_handed_over_at = COALESCE(seed_handed_over_at, $2), seed_handed_over_to = $3
         WHERE setup_id = $1",
        &[(&setup.id, Type::UUID), (&now, Type::TIMESTAMPTZ), (&session.id, Type::UUID)],
    )
    .await?;
    execute(
        client,
        "INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, created_at)
         VALUES ($1, $2, 'init_wallet', 'handed_over', 0, $3)",
        &[(&setup.id, Type::UUID), (&setup.user_id, Type::UUID), (&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    let id = setup.id.to_string();
    let entry = Entry {
        user_id: Some(session.user_id),
        action: "seed.handed_over",
        resource: ("lightning_setup", &id),
        details: json!({ "repeated": before.is_some() }),
        origin,
        now,
    };
    audit.append(client, &entry).await.map_err(HandoverError::Audit)?;
    let text = String::from_utf8_lossy(words.expose()).into_owned();
    let text = Secret::new(text);
    let words = Secret::new(text.expose().split(' ').map(str::to_owned).collect());
    Ok(Handover { words, erased_at: before.unwrap_or(now) + GRACE })
}

/// Erases the seeds that were handed over longer than [`GRACE`] ago and returns how many.
pub async fn erase_handed_over(client: &impl GenericClient, now: OffsetDateTime) -> Result<u64, DbError> {
    execute(
        client,
        "UPDATE lightning_setup_secrets SET seed_sealed = NULL
         WHERE seed_sealed IS NOT NULL AND seed_handed_over_at < $1",
        &[(&(now - GRACE), Type::TIMESTAMPTZ)],
    )
    .await
}
