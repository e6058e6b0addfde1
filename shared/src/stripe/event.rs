//! What Stripe tells us: the envelope, as it is the same for every type.
//!
//! A *snapshot* event (`event`) carries the object as it was when the event was made; a *thin* one (`v2.core.event`)
//! only says where the object is.

use std::fmt;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::object::{Fields, is_word};

/// The version every call asks for, and the one to set on the webhook endpoints. An event of another version is read
/// all the same.
pub const API_VERSION: &str = "2026-10-28.endive";

/// Longer than any event, and than API Gateway lets through.
pub const MAX_BODY: usize = 1024 * 1024;

/// What to subscribe to. Those that begin with `v2.` are thin, and need an event destination of their own.
pub const EVENT_TYPES: &[&str] = &[
    "account.application.deauthorized",
    "account.external_account.updated",
    "account.updated",
    "application_fee.created",
    "application_fee.refunded",
    "balance.available",
    "capability.updated",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.refunded",
    "charge.succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "invoice.finalization_failed",
    "invoice.marked_uncollectible",
    "invoice.overdue",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.voided",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "payout.canceled",
    "payout.created",
    "payout.failed",
    "payout.paid",
    "payout.reconciliation_completed",
    "payout.updated",
    "person.updated",
    "radar.early_fraud_warning.created",
    "refund.created",
    "refund.failed",
    "refund.updated",
    "transfer.created",
    "transfer.reversed",
    "transfer.updated",
    "v2.core.account.closed",
    "v2.core.account[configuration.merchant].capability_status_updated",
    "v2.core.account[configuration.recipient].capability_status_updated",
    "v2.core.account[requirements].updated",
    "v2.core.account_link.returned",
];

/// One event, whichever way it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: String,
    /// Its type, such as `charge.refunded`; any, not only those of [`EVENT_TYPES`].
    pub kind: String,
    /// The connected account it happened in; `None` is our own.
    pub account: Option<String>,
    pub livemode: bool,
    pub created_at: OffsetDateTime,
    pub api_version: Option<String>,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// `data.object`, an object of whatever kind: see [`Object::read`](super::Object::read).
    Snapshot(Value),
    Thin(Option<Related>),
}

/// What a thin event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    pub id: String,
    pub kind: String,
    /// A path at Stripe. Nobody should follow it without looking at what it says.
    pub url: Option<String>,
}

/// The body is signed and still not an event. Says which part of it is not, and never what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnEvent(&'static str);

impl fmt::Display for NotAnEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body is not an event: {}", self.0)
    }
}

impl std::error::Error for NotAnEvent {}

impl Event {
    /// Reads a body whose signature is good, or an event of `GET /v1/events`. Unknown members are left alone.
    pub fn parse(body: &[u8]) -> Result<Self, NotAnEvent> {
        if body.len() > MAX_BODY {
            return Err(NotAnEvent("too long"));
        }
        let Ok(Value::Object(mut document)) = serde_json::from_slice(body) else {
            return Err(NotAnEvent("not a JSON object"));
        };
        let is_thin = match document.get("object").and_then(Value::as_str) {
            Some("event") => false,
            Some("v2.core.event") => true,
            _ => return Err(NotAnEvent("object")),
        };
        let content = if is_thin { related(&document)? } else { snapshot(&mut document)? };
        let fields = Fields::new(&document);
        Ok(Self {
            id: fields.id("id").map_err(refused)?,
            kind: fields.word("type").map_err(refused)?,
            account: if is_thin { context(fields)? } else { account(fields)? },
            livemode: fields.flag("livemode").map_err(refused)?,
            created_at: fields.time("created").map_err(refused)?,
            api_version: fields.optional_word("api_version").map_err(refused)?,
            content,
        })
    }

    /// The object the event is about. A balance has no id, and some thin events are about nothing.
    pub fn object_id(&self) -> Option<&str> {
        match &self.content {
            Content::Snapshot(object) => object.get("id").and_then(Value::as_str).filter(|id| is_word(id)),
            Content::Thin(related) => related.as_ref().map(|related| related.id.as_str()),
        }
    }
}

fn refused(unreadable: super::Unreadable) -> NotAnEvent {
    NotAnEvent(unreadable.member())
}

fn snapshot(document: &mut Map<String, Value>) -> Result<Content, NotAnEvent> {
    let object = document.get_mut("data").and_then(|data| data.get_mut("object")).map(Value::take);
    object.filter(Value::is_object).map(Content::Snapshot).ok_or(NotAnEvent("data.object"))
}

fn related(document: &Map<String, Value>) -> Result<Content, NotAnEvent> {
    let related = match document.get("related_object") {
        None | Some(Value::Null) => None,
        Some(Value::Object(related)) => {
            let fields = Fields::new(related);
            Some(Related {
                id: fields.id("id").map_err(|_| NotAnEvent("related_object.id"))?,
                kind: fields.word("type").map_err(|_| NotAnEvent("related_object.type"))?,
                url: fields.optional_word("url").map_err(|_| NotAnEvent("related_object.url"))?,
            })
        }
        Some(_) => return Err(NotAnEvent("related_object")),
    };
    Ok(Content::Thin(related))
}

/// `user_id` is what API versions before 2017-05-25 called it.
fn account(fields: Fields<'_>) -> Result<Option<String>, NotAnEvent> {
    let account = fields.optional_id("account").map_err(refused)?;
    if account.is_some() {
        return Ok(account);
    }
    fields.optional_id("user_id").map_err(refused)
}

/// Within an organisation the context is a path, `org_…/acct_…`.
fn context(fields: Fields<'_>) -> Result<Option<String>, NotAnEvent> {
    let context = fields.optional_word("context").map_err(refused)?;
    let last = context.as_deref().and_then(|path| path.rsplit('/').next());
    Ok(last.filter(|id| id.starts_with("acct_")).map(str::to_owned))
}

#[cfg(test)]
mod tests;
