//! What waits: the provider is asked, and its answer applied.
//!
//! | the row is of | asked for | applied |
//! |---|---|---|
//! | BTCPay | the invoice, by the store and id in the row | its word, whose order it may be |
//! | Stripe, self-contained | nothing | what follows from it, as when it came |
//! | Stripe, "something changed" | the account | its description |
//!
//! No connection to the database is held while a provider is asked. The answer and the end of the row are one
//! transaction; a run that lost its lease meanwhile keeps nothing.

use std::fmt;

use time::{Duration, OffsetDateTime};
use tokio::time::Instant;

use super::inbox::{Fate, Sender, reason};
use super::queue::{self, Taken};
use super::stripe::{self as events, Effect, Plan, TakeInError};
use crate::breaker::Breaker;
use crate::btcpay::Btcpay;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::{KeyRing, SealError, SealingKeys};
use crate::db::{self, Db, DbError, GenericClient};
use crate::payment::{self, Snapshot, Source, observe};
use crate::random::Random;
use crate::secrets::{SecretError, SecretHandle};
use crate::stripe::{self, Kind, Object, Path, Stripe};
use crate::upstream::{Provider, Upstream, UpstreamError, code};

/// All calls about one row together: less than its lease.
const TIME_TO_ASK: std::time::Duration = std::time::Duration::from_secs(45);

/// The providers, and everything it takes to apply what they say.
pub struct Processor {
    pub db: Db,
    pub clock: Clock,
    pub random: Random,
    pub stripe: Option<Stripe>,
    pub btcpay: Option<Btcpay>,
    pub livemode: bool,
    pub(super) breaker: Breaker,
    sealing: SecretHandle<KeyRing>,
}

/// Why nothing could be done about any row. What is wrong with one row is written down in it.
#[derive(Debug)]
pub enum ProcessError {
    Secret(SecretError),
    Seal(SealError),
    Db(DbError),
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(error) => error.fmt(f),
            Self::Seal(error) => error.fmt(f),
            Self::Db(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ProcessError {
    /// It is the inner error, and tells what that one was caused by.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Secret(error) => error.source(),
            Self::Seal(error) => error.source(),
            Self::Db(error) => error.source(),
        }
    }
}

impl From<SecretError> for ProcessError {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

impl From<SealError> for ProcessError {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl From<TakeInError> for ProcessError {
    fn from(error: TakeInError) -> Self {
        match error {
            TakeInError::Seal(source) => Self::Seal(source),
            TakeInError::Db(source) => Self::Db(source),
        }
    }
}

impl From<DbError> for ProcessError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

/// What was found out about a row.
enum Found {
    Nothing(Fate),
    Word(Snapshot),
    Effects { account: Option<String>, effects: Vec<Effect>, seen_at: OffsetDateTime },
}

impl Processor {
    /// Wires the database, the sealing keys, BTCPay, Stripe and `STRIPE_LIVEMODE`.
    pub fn wire(config: &mut Config) -> Self {
        let db = Db::wire(config);
        let upstream = Upstream::wire(config);
        Self {
            clock: config.clock(),
            random: config.random(),
            stripe: Stripe::wire(config, &upstream),
            btcpay: Btcpay::wire(config, &upstream),
            livemode: livemode(config),
            breaker: Breaker::wire(config, &db),
            sealing: config.secret::<SealingKeys, KeyRing>("SEALING_SECRET"),
            db,
        }
    }

    pub async fn ring(&self) -> Result<std::sync::Arc<KeyRing>, ProcessError> {
        Ok(self.sealing.get().await?)
    }

    /// Takes up the row that has been due longest.
    pub async fn take(&self) -> Result<Option<Taken>, ProcessError> {
        let ring = self.ring().await?;
        let connection = self.db.connection().await?;
        Ok(queue::take(connection.client(), &ring, self.clock.now()).await?)
    }

    /// Does what is to be done about a row, and says what became of it; `None` when it is another's by now.
    pub async fn drive(&self, taken: &Taken, until: Instant) -> Result<Option<Fate>, ProcessError> {
        let found = self.find_out(taken, until).await;
        match self.write_down(taken, &found).await {
            Err(ProcessError::Db(error @ (DbError::Constraint { .. } | DbError::Other(_)))) => {
                tracing::error!(target: "webhook", event = %taken.id, %error, "what follows from an event was refused");
                let fate = queue::failed(taken.attempts, reason::NOT_APPLIED, &self.random, self.clock.now());
                self.write_down(taken, &Found::Nothing(fate)).await
            }
            other => other,
        }
    }

    async fn find_out(&self, taken: &Taken, until: Instant) -> Found {
        if taken.attempts > queue::MOST_ATTEMPTS {
            return Found::Nothing(Fate::Dead(reason::GIVEN_UP));
        }
        // Whoever holds a row for longer than its lease holds it in vain.
        let until = until.min(Instant::now() + TIME_TO_ASK);
        let found = if taken.provider == Sender::Btcpay.name() {
            self.read_invoice(taken, until).await
        } else {
            self.read_event(taken, until).await
        };
        found.unwrap_or_else(|code| {
            tracing::warn!(target: "webhook", event = %taken.id, code, attempts = taken.attempts, "an event waits");
            Found::Nothing(queue::failed(taken.attempts, code, &self.random, self.clock.now()))
        })
    }

    async fn read_invoice(&self, taken: &Taken, until: Instant) -> Result<Found, &'static str> {
        let Some(invoice) = &taken.object_id else {
            return Ok(Found::Nothing(Fate::Ignored(reason::UNKNOWN_TYPE)));
        };
        let (Ok(store), Ok(invoice)) = (taken.account.parse(), invoice.parse()) else {
            return Ok(Found::Nothing(Fate::Dead(reason::UNREADABLE)));
        };
        let btcpay = self.btcpay.as_ref().ok_or(reason::NOT_CONFIGURED)?.until(until);
        let asked_at = self.clock.now();
        let read = self.breaker.call(Provider::Btcpay, btcpay.invoice(&store, &invoice)).await;
        let read = read.map_err(|error| told(&error))?;
        Ok(Found::Word(payment::btcpay::invoice(&read, asked_at)))
    }

    async fn read_event(&self, taken: &Taken, until: Instant) -> Result<Found, &'static str> {
        let body = taken.body.as_ref().map_err(|_| reason::UNOPENED)?;
        let Ok(event) = stripe::Event::parse(body.expose()) else {
            return Ok(Found::Nothing(Fate::Dead(reason::UNREADABLE)));
        };
        // The row knows whose it is, also where Stripe's list of events does not say.
        let whose = Some(taken.account.clone()).filter(|account| !account.is_empty());
        let event = stripe::Event { account: whose, ..event };
        match events::plan(&event, self.livemode) {
            Plan::Apply(effects) => {
                Ok(Found::Effects { account: event.account, effects, seen_at: event.created_at })
            }
            Plan::AskForAccount { id, is_v2 } => {
                let stripe = self.stripe.as_ref().ok_or(reason::NOT_CONFIGURED)?.until(until);
                let asked_at = asked_at(&self.clock);
                let account = self.breaker.call(Provider::Stripe, account(&stripe, &id, is_v2)).await;
                let effects = match account {
                    // Nobody lets us look any more, and nobody will tell us more than that.
                    Err(error) if error.code == code::STRIPE_ACCOUNT_REFUSED => vec![Effect::Deauthorized],
                    Err(error) => return Err(told(&error)),
                    Ok(account) => {
                        let object = Object::read(&account).map_err(|_| reason::UNREADABLE)?;
                        events::effects(object, &event.kind, asked_at)
                    }
                };
                Ok(Found::Effects { account: event.account, effects, seen_at: asked_at })
            }
            ended @ (Plan::Ignore(_) | Plan::Unreadable) => Ok(Found::Nothing(ended.fate(self.clock.now()))),
        }
    }

    async fn write_down(&self, taken: &Taken, found: &Found) -> Result<Option<Fate>, ProcessError> {
        let now = self.clock.now();
        let mut connection = self.db.connection().await?;
        let tx = connection.transaction().await?;
        let fate = self.make_so(&tx, taken, found, now).await?;
        if !queue::end(&tx, (taken.id, taken.attempts), fate, now).await? {
            return Ok(None);
        }
        db::commit(tx).await?;
        Ok(Some(fate))
    }

    async fn make_so(
        &self,
        client: &impl GenericClient,
        taken: &Taken,
        found: &Found,
        now: OffsetDateTime,
    ) -> Result<Fate, DbError> {
        match found {
            Found::Nothing(fate) => return Ok(*fate),
            Found::Word(word) => {
                let source = Source { provider: Sender::Btcpay.name(), account: &taken.account };
                payment::lock_word(client, &source, word).await?;
                observe(client, &self.random, &source, word, now).await?;
            }
            Found::Effects { account, effects, seen_at } => {
                events::lock(client, account.as_deref(), effects).await?;
                events::apply(client, &self.random, account.as_deref(), (effects, *seen_at), now).await?;
            }
        }
        Ok(Fate::Done)
    }
}

/// Whether this deployment handles live events of Stripe's, or test events.
pub fn livemode(config: &mut Config) -> bool {
    config.choice("STRIPE_LIVEMODE", &["true", "false"]) == "true"
}

/// The moment a provider is asked, as an event of its own would have it: events have whole seconds, and what happens
/// while we ask is to outdo what we are told.
pub(super) fn asked_at(clock: &Clock) -> OffsetDateTime {
    let now = clock.now();
    now.replace_nanosecond(0).unwrap_or(now) - Duration::SECOND
}

pub(super) async fn account(
    stripe: &Stripe,
    id: &str,
    is_v2: bool,
) -> Result<serde_json::Value, UpstreamError> {
    if is_v2 {
        return stripe.account_v2(id).await;
    }
    match Path::new(Kind::Account, id) {
        Ok(path) => stripe.retrieve(None, &path).await,
        // No account has such an id, and so there is nothing to be read.
        Err(_) => Err(UpstreamError::mistaken_answer(Provider::Stripe)),
    }
}

/// The log gets what the provider said; the row gets the code.
fn told(error: &UpstreamError) -> &'static str {
    tracing::warn!(target: "webhook", %error, "a provider could not be asked");
    error.code
}
