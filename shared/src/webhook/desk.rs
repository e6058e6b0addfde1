//! The inbox as an operator sees it: what is in it, and what of it is to be gone through again, or never.
//!
//! Ids are made when a delivery comes in and sort by that moment, so a range of time is a range of the primary key.

mod dismiss;
mod replay;

pub use dismiss::{Dismissed, dismiss};
pub use replay::{count, next_ids, replay};

use time::OffsetDateTime;
use uuid::Uuid;

use super::inbox;
use crate::crypto::{KeyRing, OpenError, Secret};
use crate::db::{DbError, GenericClient, Param, Row, Type, query, query_one, query_opt};

/// What stands before every selection of whole events.
macro_rules! events {
    ($rest:literal) => {
        concat!(
            "SELECT id, provider, account, webhook_id, event_id, type, object_id, livemode, api_version, state, attempts,
                    last_error_code, received_at, occurred_at, due_at, finished_at
             FROM webhook_events ",
            $rest
        )
    };
}

/// A statement with what a filter chooses in its midst; its first parameters are [`Filter::chosen`].
macro_rules! chosen {
    ($before:expr, $rest:literal) => {
        concat!(
            $before,
            "WHERE id >= $1 AND id < $2 AND state = ANY($3) AND ($4 IS NULL OR provider = $4)
               AND ($5 IS NULL OR type = $5) AND ($6 IS NULL OR object_id = $6) AND ($7 IS NULL OR account = $7) ",
            $rest
        )
    };
}
use chosen;

/// How an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Received,
    Ignored,
    Done,
    Dead,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Received, Self::Ignored, Self::Done, Self::Dead];

    /// As it stands in the column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Ignored => "ignored",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

/// Which events. What is not set chooses nothing.
#[derive(Clone, Debug)]
pub struct Filter {
    pub provider: Option<&'static str>,
    pub states: Vec<State>,
    pub kind: Option<String>,
    pub object_id: Option<String>,
    pub account: Option<String>,
    /// Received then or later, to the millisecond.
    pub since: Option<OffsetDateTime>,
    /// Received before.
    pub until: Option<OffsetDateTime>,
}

impl Filter {
    fn chosen(&self) -> Chosen<'_> {
        Chosen {
            filter: self,
            from: self.since.map_or(Uuid::nil(), first_id),
            to: self.until.map_or(Uuid::max(), first_id),
            states: self.states.iter().map(|state| state.name()).collect(),
        }
    }
}

/// A filter as a statement takes it.
struct Chosen<'a> {
    filter: &'a Filter,
    /// The first id within.
    from: Uuid,
    /// The first beyond.
    to: Uuid,
    states: Vec<&'static str>,
}

impl Chosen<'_> {
    /// `$1` to `$7`, and what comes after them.
    fn params<'a>(&'a self, more: &[Param<'a>]) -> Vec<Param<'a>> {
        let Filter { provider, kind, object_id, account, .. } = self.filter;
        let mut params: Vec<Param<'a>> = vec![
            (&self.from, Type::UUID),
            (&self.to, Type::UUID),
            (&self.states, Type::TEXT_ARRAY),
            (provider, Type::TEXT),
            (kind, Type::TEXT),
            (object_id, Type::TEXT),
            (account, Type::TEXT),
        ];
        params.extend_from_slice(more);
        params
    }
}

/// No id made at this time or later sorts before it.
pub fn first_id(time: OffsetDateTime) -> Uuid {
    let millis = u128::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

/// An event without what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: Uuid,
    pub provider: String,
    pub account: String,
    pub webhook_id: String,
    pub event_id: String,
    pub kind: String,
    pub object_id: Option<String>,
    pub livemode: Option<bool>,
    pub api_version: Option<String>,
    pub state: String,
    pub attempts: i32,
    pub last_error_code: Option<String>,
    pub received_at: OffsetDateTime,
    pub occurred_at: Option<OffsetDateTime>,
    pub due_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
}

impl From<&Row> for Event {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            provider: row.get("provider"),
            account: row.get("account"),
            webhook_id: row.get("webhook_id"),
            event_id: row.get("event_id"),
            kind: row.get("type"),
            object_id: row.get("object_id"),
            livemode: row.get("livemode"),
            api_version: row.get("api_version"),
            state: row.get("state"),
            attempts: row.get("attempts"),
            last_error_code: row.get("last_error_code"),
            received_at: row.get("received_at"),
            occurred_at: row.get("occurred_at"),
            due_at: row.get("due_at"),
            finished_at: row.get("finished_at"),
        }
    }
}

fn read(rows: &[Row]) -> Vec<Event> {
    rows.iter().map(Event::from).collect()
}

/// The newest first.
pub async fn list(client: &impl GenericClient, filter: &Filter, limit: i64) -> Result<Vec<Event>, DbError> {
    let sql = chosen!(events!(""), "ORDER BY id DESC LIMIT $8");
    let rows = query(client, sql, &filter.chosen().params(&[(&limit, Type::INT8)])).await?;
    Ok(read(&rows))
}

/// Those nobody goes on with, the oldest first, and how many there are in all.
pub async fn dead(client: &impl GenericClient, limit: i64) -> Result<(Vec<Event>, i64), DbError> {
    let rows = query(
        client,
        events!("WHERE state = 'dead' ORDER BY received_at, id LIMIT $1"),
        &[(&limit, Type::INT8)],
    )
    .await?;
    let counted = query_one(client, "SELECT count(*) FROM webhook_events WHERE state = 'dead'", &[]).await?;
    Ok((read(&rows), counted.get(0)))
}

/// The events of these ids, in their order.
pub async fn find(client: &impl GenericClient, ids: &[Uuid]) -> Result<Vec<Event>, DbError> {
    let sql = events!("WHERE id = ANY($1) ORDER BY id");
    Ok(read(&query(client, sql, &[(&ids, Type::UUID_ARRAY)]).await?))
}

/// The events about these objects, in the order in which they happened.
pub async fn about(
    client: &impl GenericClient,
    object_ids: &[String],
    limit: i64,
) -> Result<Vec<Event>, DbError> {
    let rows = query(
        client,
        events!(
            "WHERE object_id = ANY($1)
             ORDER BY COALESCE(occurred_at, received_at), id
             LIMIT $2"
        ),
        &[(&object_ids, Type::TEXT_ARRAY), (&limit, Type::INT8)],
    )
    .await?;
    Ok(read(&rows))
}

/// Our ids of the events that a provider calls so; more than one when several of its webhooks sent it.
pub async fn called(client: &impl GenericClient, event_id: &str) -> Result<Vec<Uuid>, DbError> {
    let rows = query(
        client,
        "SELECT id FROM webhook_events WHERE event_id = $1 ORDER BY id",
        &[(&event_id, Type::TEXT)],
    )
    .await?;
    Ok(rows.iter().map(|row| row.get("id")).collect())
}

/// What was said, as the very bytes that were signed; `None` when the event is gone.
pub async fn body(
    client: &impl GenericClient,
    ring: &KeyRing,
    id: Uuid,
) -> Result<Option<Result<Secret<Vec<u8>>, OpenError>>, DbError> {
    let sql = "SELECT id, body, body_sealed FROM webhook_events WHERE id = $1";
    let row = query_opt(client, sql, &[(&id, Type::UUID)]).await?;
    Ok(row.map(|row| inbox::body(&row, ring)))
}
