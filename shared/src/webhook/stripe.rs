//! What follows from an event of Stripe's.

use futures_util::future::try_join;
use time::OffsetDateTime;

use super::inbox::{self, Event, Fate, NewRow, Recorded, Sender, reason};
use super::queue;
use crate::crypto::{KeyRing, SealError};
use crate::db::{self, Connection, DbError, GenericClient};
use crate::payment::{self, Movement, Snapshot, Source, observe};
use crate::random::Random;
use crate::stripe::{self, Account, Content, EVENT_TYPES, Object, Payout, Subscription};
use crate::{connected_account, payout, subscription};

/// What an event asks for. Found without asking anybody.
#[derive(Debug, PartialEq)]
pub enum Plan {
    Ignore(&'static str),
    /// Of a type that matters, and not as this build reads it.
    Unreadable,
    Apply(Vec<Effect>),
    /// It only says that this account has changed.
    AskForAccount {
        id: String,
        is_v2: bool,
    },
}

/// What changes in our tables.
#[derive(Debug, PartialEq)]
pub enum Effect {
    Word(Snapshot),
    Movements(Vec<Movement>),
    Subscription(Subscription),
    /// A checkout session says whose this subscription is.
    Claim(String),
    Payout(Payout),
    Account {
        described: Account,
        is_v2: bool,
    },
    Deauthorized,
}

impl Plan {
    /// What becomes of the row in the transaction that writes it.
    pub fn fate(&self, now: OffsetDateTime) -> Fate {
        match self {
            Self::Ignore(code) => Fate::Ignored(code),
            Self::Unreadable => Fate::Dead(reason::UNREADABLE),
            Self::Apply(_) => Fate::Done,
            Self::AskForAccount { .. } => Fate::Due { at: now, attempts: 0, code: None },
        }
    }
}

/// Why an event could not be taken in. Nothing of it is kept.
#[derive(Debug)]
pub enum TakeInError {
    Seal(SealError),
    Db(DbError),
}

impl From<SealError> for TakeInError {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl From<DbError> for TakeInError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// What is taken in, and what it takes.
pub struct Delivery<'a> {
    pub event: &'a stripe::Event,
    pub body: &'a [u8],
    pub plan: &'a Plan,
    pub ring: &'a KeyRing,
    pub random: &'a Random,
    pub now: OffsetDateTime,
}

/// Writes the event down and makes what follows from it so, in one transaction, unless both were done before. What the
/// database will not have follow from it is left to be tried again: the event itself is not lost.
pub async fn take_in(connection: &mut Connection, delivery: &Delivery<'_>) -> Result<Recorded, TakeInError> {
    let event = event(delivery.event, delivery.body);
    let row = NewRow::seal(delivery.ring, delivery.random, &event, delivery.now)?;
    let tx = connection.transaction().await?;
    match apply_once(&tx, &row, delivery).await {
        Ok(recorded) => {
            db::commit(tx).await?;
            return Ok(recorded);
        }
        Err(error @ (DbError::Constraint { .. } | DbError::Other(_))) => {
            tracing::error!(target: "webhook", event_id = delivery.event.id, %error, "what follows from an event was refused");
        }
        Err(error) => return Err(error.into()),
    }
    drop(tx);
    let tx = connection.transaction().await?;
    let later = queue::failed(1, reason::NOT_APPLIED, delivery.random, delivery.now);
    let recorded = record(&tx, &row, later, delivery).await?;
    db::commit(tx).await?;
    Ok(recorded)
}

/// Writes the event down, or gives it its fate if a copy of it was ignored for where it came from.
async fn record(
    client: &impl GenericClient,
    row: &NewRow<'_>,
    fate: Fate,
    delivery: &Delivery<'_>,
) -> Result<Recorded, DbError> {
    let recorded = inbox::record(client, row, fate, delivery.now).await?;
    let redirects = !matches!(delivery.plan, Plan::Ignore(reason::WRONG_ENDPOINT | reason::WRONG_LIVEMODE));
    if recorded == Recorded::Repeat && redirects && inbox::redirect(client, row, fate, delivery.now).await? {
        return Ok(Recorded::New);
    }
    Ok(recorded)
}

async fn apply_once(
    client: &impl GenericClient,
    row: &NewRow<'_>,
    delivery: &Delivery<'_>,
) -> Result<Recorded, DbError> {
    let Delivery { event, plan, random, now, .. } = *delivery;
    let recording = record(client, row, plan.fate(now), delivery);
    let Plan::Apply(effects) = plan else { return recording.await };
    let account = event.account.as_deref();
    // Together: by the time the one is known to be new, the other is had.
    let (recorded, ()) = try_join(recording, lock(client, account, effects)).await?;
    if recorded == Recorded::New {
        apply(client, random, account, (effects, event.created_at), now).await?;
    }
    Ok(recorded)
}

/// What is to follow from `event` in a deployment that handles live events, or test events.
pub fn plan(event: &stripe::Event, livemode: bool) -> Plan {
    if !EVENT_TYPES.contains(&event.kind.as_str()) {
        return Plan::Ignore(reason::UNKNOWN_TYPE);
    }
    if event.livemode != livemode {
        return Plan::Ignore(reason::WRONG_LIVEMODE);
    }
    match (&event.content, event.kind.as_str()) {
        (Content::Thin(Some(related)), _) => Plan::AskForAccount { id: related.id.clone(), is_v2: true },
        // What is about nothing, such as a link that somebody came back from, says nothing of how far they came.
        (Content::Thin(None), _) | (Content::Snapshot(_), "balance.available") => Plan::Apply(Vec::new()),
        (Content::Snapshot(_), "account.application.deauthorized") => Plan::Apply(vec![Effect::Deauthorized]),
        (
            Content::Snapshot(_),
            "capability.updated" | "person.updated" | "account.external_account.updated",
        ) => match &event.account {
            Some(id) => Plan::AskForAccount { id: id.clone(), is_v2: false },
            None => Plan::Apply(Vec::new()),
        },
        // Our own account is connected to nobody.
        (Content::Snapshot(_), "account.updated") if event.account.as_deref() != event.object_id() => {
            Plan::Apply(Vec::new())
        }
        (Content::Snapshot(object), kind) => match Object::read(object) {
            Ok(object) => Plan::Apply(effects(object, kind, event.created_at)),
            Err(_) => Plan::Unreadable,
        },
    }
}

/// What an object changes, as it was at `seen_at`. Of a session, and of an account, the event's type tells what the
/// object does not.
pub fn effects(object: Object, event_type: &str, seen_at: OffsetDateTime) -> Vec<Effect> {
    match object {
        Object::CheckoutSession(session) => {
            let word = Effect::Word(payment::stripe::session(&session, event_type, seen_at));
            std::iter::once(word).chain(session.subscription.map(Effect::Claim)).collect()
        }
        Object::PaymentIntent(intent) => vec![Effect::Word(payment::stripe::intent(&intent, seen_at))],
        Object::Charge(charge) => {
            payment::stripe::charge(&charge, seen_at).into_iter().map(Effect::Word).collect()
        }
        Object::Refund(refund) => vec![Effect::Word(payment::stripe::refund(&refund, seen_at))],
        Object::Dispute(dispute) => vec![Effect::Word(payment::stripe::dispute(&dispute, seen_at))],
        Object::Invoice(invoice) => vec![Effect::Word(payment::stripe::invoice(&invoice, seen_at))],
        Object::Subscription(subscription) => vec![Effect::Subscription(subscription)],
        Object::Payout(payout) => vec![Effect::Payout(payout)],
        Object::Account(described) => {
            vec![Effect::Account { described, is_v2: event_type.starts_with("v2.") }]
        }
        Object::ApplicationFee(fee) => vec![Effect::Movements(payment::stripe::application_fee(&fee))],
        Object::Transfer(transfer) => vec![Effect::Movements(payment::stripe::transfer(&transfer))],
        // On record for whoever looks; what may come of it is a dispute, which Stripe tells as one.
        Object::FraudWarning(_) => Vec::new(),
    }
}

/// Waits until nobody else works on what these change. All at once, so that two events that touch the same things never
/// wait for each other.
pub async fn lock(
    client: &impl GenericClient,
    account: Option<&str>,
    effects: &[Effect],
) -> Result<(), DbError> {
    let names: Vec<String> = effects.iter().flat_map(names).collect();
    if names.is_empty() {
        return Ok(());
    }
    payment::lock(client, &source(account), names.iter().map(String::as_str)).await
}

fn source(account: Option<&str>) -> Source<'_> {
    Source { provider: Sender::Stripe.name(), account: account.unwrap_or_default() }
}

/// Makes the changes. Safe to repeat, in any order and beside itself; the transaction has [locked](lock) them.
pub async fn apply(
    client: &impl GenericClient,
    random: &Random,
    account: Option<&str>,
    (effects, seen_at): (&[Effect], OffsetDateTime),
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let source = source(account);
    for effect in effects {
        match effect {
            Effect::Word(word) => {
                observe(client, random, &source, word, now).await?;
            }
            Effect::Movements(movements) => {
                payment::record_movements(client, random, &source, movements, now).await?;
            }
            Effect::Subscription(subscription) => {
                subscription::observe(client, random, &source, (subscription, seen_at), now).await?;
            }
            Effect::Claim(id) => subscription::claim(client, random, &source, id, now).await?,
            Effect::Payout(payout) => {
                payout::observe(client, random, &source, (payout, seen_at), now).await?;
            }
            Effect::Account { described, is_v2 } => {
                connected_account::observe(client, (described, *is_v2), seen_at, now).await?;
            }
            Effect::Deauthorized => {
                let Some(account) = account else { continue };
                connected_account::deauthorize(client, account, seen_at, now).await?;
            }
        }
    }
    Ok(())
}

/// What is locked before anything is changed.
fn names(effect: &Effect) -> Vec<String> {
    match effect {
        Effect::Word(word) => payment::names(word),
        Effect::Subscription(subscription) => vec![subscription.id.clone()],
        Effect::Claim(id) => vec![id.clone()],
        Effect::Payout(payout) => vec![payout.id.clone()],
        // These are written once, or lock by themselves.
        Effect::Movements(_) | Effect::Account { .. } | Effect::Deauthorized => Vec::new(),
    }
}

/// The event as a row.
pub fn event<'a>(event: &'a stripe::Event, body: &'a [u8]) -> Event<'a> {
    Event {
        sender: Sender::Stripe,
        account: event.account.as_deref().unwrap_or_default(),
        webhook_id: "",
        event_id: &event.id,
        kind: &event.kind,
        object_id: event.object_id(),
        livemode: Some(event.livemode),
        api_version: event.api_version.as_deref(),
        occurred_at: event.created_at,
        body,
    }
}
