//! The inbox: what providers tell us, each thing once, as the very bytes that were signed.
//!
//! A webhook is verified, written down and answered. What it means is found out afterwards, from the rows that wait in
//! `received`, so that a slow effect never makes a provider wait and a mistake of ours never loses what it said. One
//! submodule per provider knows whose secret signs and what the keys are called; the rows are all alike.

pub mod btcpay;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{DbError, GenericClient, Type, execute};

/// Who tells us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Btcpay,
}

impl Sender {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Btcpay => "btcpay",
        }
    }
}

/// One thing we were told, in a delivery whose signature is good.
pub struct Event<'a> {
    pub sender: Sender,
    /// Whose it is at the provider: BTCPay's store.
    pub account: &'a str,
    /// Which of the account's webhooks sent it; empty where events are numbered for the account as a whole.
    pub webhook_id: &'a str,
    /// The provider's name for it, the same on every copy.
    pub event_id: &'a str,
    pub kind: &'a str,
    /// What it is about: BTCPay's invoice.
    pub object_id: Option<&'a str>,
    pub body: &'a [u8],
}

/// Whether a delivery told us anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    New,
    /// Its row was there.
    Repeat,
}

/// Writes the event down, unless it is. A copy that comes at the same moment waits for the first one's transaction.
pub async fn record(
    client: &impl GenericClient,
    id: Uuid,
    event: &Event<'_>,
    now: OffsetDateTime,
) -> Result<Recorded, DbError> {
    let inserted = execute(
        client,
        "INSERT INTO webhook_events
             (id, provider, account, webhook_id, event_id, type, object_id, body, state, received_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'received', $9)
         ON CONFLICT ON CONSTRAINT webhook_events_event_id_key DO NOTHING",
        &[
            (&id, Type::UUID),
            (&event.sender.name(), Type::TEXT),
            (&event.account, Type::TEXT),
            (&event.webhook_id, Type::TEXT),
            (&event.event_id, Type::TEXT),
            (&event.kind, Type::TEXT),
            (&event.object_id, Type::TEXT),
            (&event.body, Type::BYTEA),
            (&now, Type::TIMESTAMPTZ),
        ],
    )
    .await?;
    Ok(if inserted == 1 { Recorded::New } else { Recorded::Repeat })
}
