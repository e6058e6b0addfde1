//! The rows: taken up one at a time under a lease, tried again later, given up in the end.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::send::Fate;
use super::{Content, Kind, Written, field};
use crate::crypto::{KeyRing, OpenError};
use crate::db::{DbError, GenericClient, Type, delete_in_batches, execute, query_one, query_opt};
use crate::email::Email;
use crate::random::Random;

/// How long whoever took a mail up may take to send it.
pub(super) const LEASE: Duration = Duration::seconds(60);
/// The first wait; each is twice the one before.
const FIRST_WAIT: Duration = Duration::seconds(30);
const LONGEST_WAIT: Duration = Duration::hours(1);

pub(super) async fn put(
    client: &impl GenericClient,
    (id, user_id, kind): (Uuid, Uuid, Kind),
    sealed: &[u8],
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let written = execute(
        client,
        "INSERT INTO mails (id, user_id, kind, state, content_sealed, attempts, due_at, created_at)
         SELECT $1, u.id, $3, 'waiting', $4, 1, $5, $6 FROM users u WHERE u.id = $2",
        &[
            (&id, Type::UUID),
            (&user_id, Type::UUID),
            (&kind.name(), Type::TEXT),
            (&sealed, Type::BYTEA),
            (&(now + LEASE), Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(written == 1)
}

/// The address that was proven to be the account's.
pub(super) async fn address_of(client: &impl GenericClient, user_id: Uuid) -> Result<Option<Email>, DbError> {
    let row = query_opt(
        client,
        "SELECT subject FROM identities
         WHERE user_id = $1 AND kind = 'email' AND retired_at IS NULL AND verified_at IS NOT NULL",
        &[(&user_id, Type::UUID)],
    )
    .await?;
    Ok(row.and_then(|row| row.get::<_, &str>("subject").parse().ok()))
}

/// Takes up the mail that has been due longest. One of a kind that is not known here, as after a roll-back, is left to
/// whoever knows it, and stands in nobody's way.
pub(super) async fn take(
    client: &impl GenericClient,
    ring: &KeyRing,
    now: OffsetDateTime,
) -> Result<Option<Written>, DbError> {
    let row = query_opt(
        client,
        "UPDATE mails SET attempts = attempts + 1, due_at = $2
         WHERE id = (SELECT id FROM mails WHERE state = 'waiting' AND due_at <= $1 AND kind = ANY ($3)
                     ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, kind, attempts, created_at, content_sealed",
        &[
            (&now, Type::TIMESTAMPTZ),
            (&(now + LEASE), Type::TIMESTAMPTZ),
            (&Kind::ALL.map(Kind::name).to_vec(), Type::TEXT_ARRAY),
        ],
    )
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (id, kind): (Uuid, &str) = (row.get("id"), row.get("kind"));
    let kind =
        Kind::from_name(kind).ok_or_else(|| DbError::Other(format!("no kind of mail: {kind}").into()))?;
    let content = ring.open(field(&id), row.get("content_sealed"));
    let content = content
        .and_then(|json| serde_json::from_slice::<Content>(json.expose()).map_err(|_| OpenError::Malformed));
    Ok(Some(Written {
        id,
        kind,
        exists: true,
        attempts: row.get("attempts"),
        created_at: row.get("created_at"),
        content,
    }))
}

/// When a mail that could not be sent is tried again; `None` once there is no point in it.
pub(super) fn next_try(mail: &Written, random: &Random, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let doublings = u32::try_from(mail.attempts - 1).unwrap_or_default().min(16);
    let longest = (FIRST_WAIT * (1_i32 << doublings)).min(LONGEST_WAIT);
    // Half of it for certain, the other half by lot: mails that failed together do not come back together.
    let [lot] = random.bytes::<1>();
    let at = now + longest / 2 + longest / 2 * i32::from(lot) / 255;
    (at < mail.created_at + mail.kind.tried_for()).then_some(at)
}

/// Writes down what became of a mail, unless somebody else holds it by now. What is over keeps no content.
pub(super) async fn end(
    client: &impl GenericClient,
    (id, attempts): (Uuid, i32),
    fate: &Fate,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let (state, due_at, code) = match fate {
        Fate::Sent => ("sent", None, None),
        Fate::Waiting { at, code } => ("waiting", Some(*at), Some(code)),
        Fate::Dead { code } => ("dead", None, Some(code)),
    };
    execute(
        client,
        "UPDATE mails
         SET state = $3,
             due_at = coalesce($4, due_at),
             last_error_code = $5,
             content_sealed = CASE WHEN $3 = 'waiting' THEN content_sealed END,
             finished_at = CASE WHEN $3 <> 'waiting' THEN $6 END
         WHERE id = $1 AND attempts = $2 AND state = 'waiting'",
        &[
            (&id, Type::UUID),
            (&attempts, Type::INT4),
            (&state, Type::TEXT),
            (&due_at, Type::TIMESTAMPTZ),
            (&code, Type::TEXT),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(())
}

/// What waits, for those who watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub due: u64,
    /// How long the one that was written first has waited.
    pub oldest: std::time::Duration,
}

/// Reads only what waits, however many are finished.
pub async fn depth(client: &impl GenericClient, now: OffsetDateTime) -> Result<Depth, DbError> {
    let row = query_one(
        client,
        "SELECT count(*) FILTER (WHERE due_at <= $1) AS due, min(created_at) AS oldest
         FROM mails WHERE state = 'waiting'",
        &[(&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    let oldest: Option<OffsetDateTime> = row.get("oldest");
    Ok(Depth {
        due: row.get::<_, i64>("due").unsigned_abs(),
        oldest: oldest.map_or(std::time::Duration::ZERO, |at| (now - at).unsigned_abs()),
    })
}

/// Removes what was finished before `before`, sent or given up.
pub async fn delete_finished(client: &impl GenericClient, before: OffsetDateTime) -> Result<u64, DbError> {
    delete_in_batches(
        client,
        "DELETE FROM mails
         WHERE state <> 'waiting' AND finished_at < $1
           AND ctid = ANY (ARRAY(SELECT ctid FROM mails WHERE state <> 'waiting' AND finished_at < $1 LIMIT $2))",
        before,
    )
    .await
}
