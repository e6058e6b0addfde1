//! The rows: what we were told, each thing once, and what is to become of it.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::crypto::{Field, KeyRing, OpenError, Purpose, SealError, Secret};
use crate::db::{DbError, GenericClient, Row, Type, execute};
use crate::random::Random;

/// Who tells us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Btcpay,
    Stripe,
}

impl Sender {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Btcpay => "btcpay",
            Self::Stripe => "stripe",
        }
    }
}

/// One thing we were told, in a delivery whose signature is good.
pub struct Event<'a> {
    pub sender: Sender,
    /// Whose it is at the provider: BTCPay's store; Stripe's connected account, or empty for our own.
    pub account: &'a str,
    /// Which of the account's webhooks sent it; empty where events are numbered for the account as a whole.
    pub webhook_id: &'a str,
    /// The provider's name for it, the same on every copy.
    pub event_id: &'a str,
    pub kind: &'a str,
    /// What it is about, by the provider's id.
    pub object_id: Option<&'a str>,
    pub livemode: Option<bool>,
    pub api_version: Option<&'a str>,
    pub occurred_at: OffsetDateTime,
    pub body: &'a [u8],
}

/// What is to become of an event, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Applied in the same transaction.
    Done,
    /// Nothing follows from it.
    Ignored(&'static str),
    /// Something should follow, and this build does not know what.
    Dead(&'static str),
    /// To be taken up at this time, and tried so often already.
    Due { at: OffsetDateTime, attempts: i32, code: Option<&'static str> },
}

impl Fate {
    pub(super) const fn state(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Ignored(_) => "ignored",
            Self::Dead(_) => "dead",
            Self::Due { .. } => "received",
        }
    }

    pub(super) const fn code(self) -> Option<&'static str> {
        match self {
            Self::Done => None,
            Self::Ignored(code) | Self::Dead(code) => Some(code),
            Self::Due { code, .. } => code,
        }
    }

    const fn attempts(self) -> i32 {
        match self {
            Self::Due { attempts, .. } => attempts,
            Self::Done | Self::Ignored(_) | Self::Dead(_) => 0,
        }
    }

    /// When it is due, or when it was finished.
    pub(super) const fn times(self, now: OffsetDateTime) -> (Option<OffsetDateTime>, Option<OffsetDateTime>) {
        match self {
            Self::Due { at, .. } => (Some(at), None),
            Self::Done | Self::Ignored(_) | Self::Dead(_) => (None, Some(now)),
        }
    }
}

/// Why an event stands as it does, where a provider's own code does not say it.
pub mod reason {
    /// Nothing here follows from events of this type.
    pub const UNKNOWN_TYPE: &str = "UNKNOWN_TYPE";
    /// A test event in a live deployment, or a live one in a test deployment. A copy that comes once that was put right
    /// is taken.
    pub const WRONG_LIVEMODE: &str = "WRONG_LIVEMODE";
    /// A connected account's event at our own account's endpoint, or the other way round. A copy that comes by the
    /// right one is taken.
    pub const WRONG_ENDPOINT: &str = "WRONG_ENDPOINT";
    /// Of a type that matters, and its object is not as this build reads it.
    pub const UNREADABLE: &str = "UNREADABLE";
    /// The database would not have what follows from it.
    pub const NOT_APPLIED: &str = "NOT_APPLIED";
    /// It needs asking a provider that is not configured.
    pub const NOT_CONFIGURED: &str = "NOT_CONFIGURED";
    /// No key on the ring opens it.
    pub const UNOPENED: &str = "UNOPENED";
    /// Whoever took it up never came back, too often.
    pub const GIVEN_UP: &str = "GIVEN_UP";
    /// It was dead, and an operator laid it to rest.
    pub const DISMISSED: &str = "DISMISSED";
}

/// Whether a delivery told us anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    New,
    /// Its row was there.
    Repeat,
}

/// Where the body of the event in row `id` is sealed to.
pub fn body_field(id: &Uuid) -> Field<'_> {
    Field {
        purpose: Purpose::WebhookBody,
        table: "webhook_events",
        column: "body_sealed",
        row: id.as_bytes(),
    }
}

/// A row to be written, its body sealed.
pub struct NewRow<'a> {
    id: Uuid,
    event: &'a Event<'a>,
    body_sealed: Vec<u8>,
}

impl<'a> NewRow<'a> {
    pub fn seal(
        ring: &KeyRing,
        random: &Random,
        event: &'a Event<'a>,
        now: OffsetDateTime,
    ) -> Result<Self, SealError> {
        let id = random.id(now);
        let body_sealed = ring.seal(body_field(&id), event.body, now, random)?;
        Ok(Self { id, event, body_sealed })
    }

    pub fn id(&self) -> Uuid {
        self.id
    }

    pub fn event(&self) -> &Event<'a> {
        self.event
    }
}

/// Writes the event down, unless it is. A copy that comes at the same moment waits for the first one's transaction.
pub async fn record(
    client: &impl GenericClient,
    row: &NewRow<'_>,
    fate: Fate,
    now: OffsetDateTime,
) -> Result<Recorded, DbError> {
    let event = row.event;
    let (due_at, finished_at) = fate.times(now);
    let inserted = execute(
        client,
        "INSERT INTO webhook_events
             (id, provider, account, webhook_id, event_id, type, object_id, livemode, api_version, occurred_at,
              body_sealed, state, attempts, due_at, last_error_code, finished_at, received_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT ON CONSTRAINT webhook_events_event_id_key DO NOTHING",
        &[
            (&row.id, Type::UUID),
            (&event.sender.name(), Type::TEXT),
            (&event.account, Type::TEXT),
            (&event.webhook_id, Type::TEXT),
            (&event.event_id, Type::TEXT),
            (&event.kind, Type::TEXT),
            (&event.object_id, Type::TEXT),
            (&event.livemode, Type::BOOL),
            (&event.api_version, Type::TEXT),
            (&event.occurred_at, Type::TIMESTAMPTZ),
            (&row.body_sealed, Type::BYTEA),
            (&fate.state(), Type::TEXT),
            (&fate.attempts(), Type::INT4),
            (&due_at, Type::TIMESTAMPTZ),
            (&fate.code(), Type::TEXT),
            (&finished_at, Type::TIMESTAMPTZ),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(if inserted == 1 { Recorded::New } else { Recorded::Repeat })
}

/// Gives an event that was ignored for where it came from the fate it has from here. Says whether there was one.
pub async fn redirect(
    client: &impl GenericClient,
    row: &NewRow<'_>,
    fate: Fate,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let event = row.event;
    let (due_at, finished_at) = fate.times(now);
    let changed = execute(
        client,
        "UPDATE webhook_events
         SET state = $5, due_at = $6, last_error_code = $7, finished_at = $8, attempts = $9
         WHERE provider = $1 AND account = $2 AND webhook_id = $3 AND event_id = $4
           AND state = 'ignored' AND last_error_code IN ('WRONG_ENDPOINT', 'WRONG_LIVEMODE')",
        &[
            (&event.sender.name(), Type::TEXT),
            (&event.account, Type::TEXT),
            (&event.webhook_id, Type::TEXT),
            (&event.event_id, Type::TEXT),
            (&fate.state(), Type::TEXT),
            (&due_at, Type::TIMESTAMPTZ),
            (&fate.code(), Type::TEXT),
            (&finished_at, Type::TIMESTAMPTZ),
            (&fate.attempts(), Type::INT4),
        ],
    )
    .await?;
    Ok(changed == 1)
}

/// The very bytes that were signed. Rows from before bodies were sealed have theirs in clear.
pub fn body(row: &Row, ring: &KeyRing) -> Result<Secret<Vec<u8>>, OpenError> {
    if let Some(body) = row.get::<_, Option<Vec<u8>>>("body") {
        return Ok(Secret::new(body));
    }
    let sealed: Option<&[u8]> = row.get("body_sealed");
    ring.open(body_field(&row.get("id")), sealed.unwrap_or_default())
}
