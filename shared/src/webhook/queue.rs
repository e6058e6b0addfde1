//! The rows that wait: taken up one at a time under a lease, tried again later, given up in the end.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::inbox::{self, Fate, NewRow};
use crate::crypto::{KeyRing, OpenError, Secret};
use crate::db::{DbError, GenericClient, Type, delete_in_batches, execute, query_one, query_opt};
use crate::random::Random;

/// How long whoever took a row up may take with it.
pub const LEASE: Duration = Duration::seconds(60);
/// The first wait; each is twice the one before.
const FIRST_WAIT: Duration = Duration::seconds(15);
const LONGEST_WAIT: Duration = Duration::hours(1);
/// With these waits a row is tried for a day before it is given up.
pub const MOST_ATTEMPTS: i32 = 32;

/// A row in our hands, until its lease is over.
#[derive(Debug)]
pub struct Taken {
    pub id: Uuid,
    pub provider: String,
    pub account: String,
    pub kind: String,
    pub object_id: Option<String>,
    /// How often it was taken up, with this time: what whoever holds it is known by.
    pub attempts: i32,
    pub body: Result<Secret<Vec<u8>>, OpenError>,
}

impl Taken {
    /// A row that is in the hands of whoever wrote it; `None` if its fate is another.
    pub fn of(row: &NewRow<'_>, fate: Fate) -> Option<Self> {
        let Fate::Due { attempts, .. } = fate else { return None };
        let event = row.event();
        Some(Self {
            id: row.id(),
            provider: event.sender.name().to_owned(),
            account: event.account.to_owned(),
            kind: event.kind.to_owned(),
            object_id: event.object_id.map(str::to_owned),
            attempts,
            body: Ok(Secret::new(event.body.to_vec())),
        })
    }
}

/// Takes up the row that has been due longest.
pub async fn take(
    client: &impl GenericClient,
    ring: &KeyRing,
    now: OffsetDateTime,
) -> Result<Option<Taken>, DbError> {
    let row = query_opt(
        client,
        "UPDATE webhook_events SET attempts = attempts + 1, due_at = $2
         WHERE id = (SELECT id FROM webhook_events WHERE state = 'received' AND due_at <= $1
                     ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, provider, account, type, object_id, attempts, body, body_sealed",
        &[(&now, Type::TIMESTAMPTZ), (&(now + LEASE), Type::TIMESTAMPTZ)],
    )
    .await?;
    Ok(row.map(|row| Taken {
        id: row.get("id"),
        provider: row.get("provider"),
        account: row.get("account"),
        kind: row.get("type"),
        object_id: row.get("object_id"),
        attempts: row.get("attempts"),
        body: inbox::body(&row, ring),
    }))
}

/// What becomes of a row that could not be applied: it is tried again, or dead.
pub fn failed(attempts: i32, code: &'static str, random: &Random, now: OffsetDateTime) -> Fate {
    if attempts >= MOST_ATTEMPTS {
        return Fate::Dead(code);
    }
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(16);
    let longest = (FIRST_WAIT * (1_i32 << doublings)).min(LONGEST_WAIT);
    // Half of it for certain, so that nothing is tried over and over; the other half by lot, so that rows that failed
    // together do not come back together.
    let [lot] = random.bytes::<1>();
    Fate::Due { at: now + longest / 2 + longest / 2 * i32::from(lot) / 255, attempts, code: Some(code) }
}

/// Writes down what became of a row. False when somebody else holds it by now: then nothing of this transaction is to
/// be kept.
pub async fn end(
    client: &impl GenericClient,
    (id, attempts): (Uuid, i32),
    fate: Fate,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let (due_at, finished_at) = fate.times(now);
    let changed = execute(
        client,
        "UPDATE webhook_events SET state = $3, due_at = $4, last_error_code = $5, finished_at = $6
         WHERE id = $1 AND attempts = $2 AND state = 'received'",
        &[
            (&id, Type::UUID),
            (&attempts, Type::INT4),
            (&fate.state(), Type::TEXT),
            (&due_at, Type::TIMESTAMPTZ),
            (&fate.code(), Type::TEXT),
            (&finished_at, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(changed == 1)
}

/// What waits, for those who watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub due: u64,
    /// How long the one that came first has waited.
    pub oldest: std::time::Duration,
    pub dead: u64,
}

/// Reads only what waits or is dead, however many are finished.
pub async fn depth(client: &impl GenericClient, now: OffsetDateTime) -> Result<Depth, DbError> {
    let row = query_one(
        client,
        "SELECT (SELECT count(*) FROM webhook_events WHERE state = 'received' AND due_at <= $1) AS due,
                (SELECT min(received_at) FROM webhook_events WHERE state = 'received') AS oldest,
                (SELECT count(*) FROM webhook_events WHERE state = 'dead') AS dead",
        &[(&now, Type::TIMESTAMPTZ)],
    )
    .await?;
    let oldest: Option<OffsetDateTime> = row.get("oldest");
    Ok(Depth {
        due: row.get::<_, i64>("due").unsigned_abs(),
        oldest: oldest.map_or(std::time::Duration::ZERO, |at| (now - at).unsigned_abs()),
        dead: row.get::<_, i64>("dead").unsigned_abs(),
    })
}

/// Removes what was finished before `before`. What is dead stays until somebody has looked.
pub async fn delete_finished(client: &impl GenericClient, before: OffsetDateTime) -> Result<u64, DbError> {
    delete_in_batches(
        client,
        "DELETE FROM webhook_events
         WHERE state IN ('done', 'ignored') AND finished_at < $1
           AND ctid = ANY (ARRAY(SELECT ctid FROM webhook_events
                                 WHERE state IN ('done', 'ignored') AND finished_at < $1 LIMIT $2))",
        before,
    )
    .await
}
