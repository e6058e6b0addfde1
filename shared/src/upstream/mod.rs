//! The one HTTP client for providers, and what its errors mean.
//!
//! A call is tried up to three times, each time for at most `UPSTREAM_TIMEOUT_MILLISECONDS`, with full jitter between
//! ([`UPSTREAM_RETRY_MILLISECONDS`](Upstream::wire)) and `Retry-After` honoured up to five seconds. Which failures are
//! tried again depends on what the request may have done ([`Repeat`]); what the caller may do after the last of them is
//! said by [`Failure`]. No redirect is followed, no proxy is taken from the environment, no answer is read without end.
//!
//! Beyond the calls themselves:
//! - [`Upstream::until`] (and `until` of each provider) sets a deadline that no try and no wait outlasts.
//! - An API key that is refused is fetched afresh, and the call made once more if it had been rotated.
//! - [`UpstreamError::counts_against_provider`] is what a circuit breaker counts, and [`Watch`] what it knows of a call
//!   that was given up half-way. Each has one [`Circuit`] to protect: a provider, or one host of many.
//! - What creates goes over a fresh connection, so that a connection found dead never makes it ambiguous; and one that
//!   takes half the time of a try to open is given up, because then nothing was sent.
//! - A refusal that time may lift but the next second will not (a wallet that is locked, a certificate that is not the
//!   pinned one) is [`Failure::Retry`] at once, without further tries.

mod base;
mod call;
mod circuit;
mod error;
mod key;
mod list;
mod once;
mod pins;
mod retry;
mod text;
mod transport;
mod watch;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

pub use circuit::Circuit;
pub use error::{Failure, UpstreamError, code};
pub use key::{ApiKey, ApiKeyDocument};
pub use pins::Pins;
pub use watch::Watch;

pub(crate) use base::BaseUrl;
pub(crate) use call::{Answer, Call, MAX_LIST};
pub(crate) use error::{Common, Fate, Trouble};
pub(crate) use key::Keyed;
pub(crate) use list::List;
pub(crate) use once::{Asked, Got};
pub(crate) use transport::Transport;

use crate::clock::Clock;
use crate::config::Config;
use crate::metrics;
use crate::random::Random;

/// Who is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    Btcpay,
    Voltage,
    Lnd,
    Stripe,
}

impl Provider {
    pub const ALL: [Self; 4] = [Self::Btcpay, Self::Voltage, Self::Lnd, Self::Stripe];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Btcpay => "btcpay",
            Self::Voltage => "voltage",
            Self::Lnd => "lnd",
            Self::Stripe => "stripe",
        }
    }

    const fn metric(self) -> &'static str {
        match self {
            Self::Btcpay => "BtcpayMilliseconds",
            Self::Voltage => "VoltageMilliseconds",
            Self::Lnd => "LndMilliseconds",
            Self::Stripe => "StripeMilliseconds",
        }
    }
}

/// What a second copy of a request would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// No harm: it is tried again whenever it may not have succeeded.
    Safe,
    /// Make a second thing: it is tried again only when the first was certainly not made.
    Unsafe,
}

/// Whether a provider may be reached without TLS, which only ever a sandbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    HttpsOnly,
    HttpAllowed,
}

/// Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
    deadline: Option<Instant>,
}

struct Shared {
    timeout: Duration,
    retry_base: Duration,
    scheme: Scheme,
    clock: Clock,
    random: Random,
    /// Made when first used: reading the system's roots takes its time.
    public: OnceLock<Transport>,
}

impl Upstream {
    /// Reads `UPSTREAM_TIMEOUT_MILLISECONDS`, `UPSTREAM_RETRY_MILLISECONDS` and `ALLOW_HTTP_PROVIDERS`.
    pub fn wire(config: &mut Config) -> Self {
        let millis = |number: u32| Duration::from_millis(number.into());
        let timeout = millis(config.number("UPSTREAM_TIMEOUT_MILLISECONDS", 10_000, 10..=60_000));
        let retry_base = millis(config.number("UPSTREAM_RETRY_MILLISECONDS", 200, 0..=10_000));
        let scheme =
            if config.flag("ALLOW_HTTP_PROVIDERS") { Scheme::HttpAllowed } else { Scheme::HttpsOnly };
        let (clock, random) = (config.clock(), config.random());
        let public = OnceLock::new();
        let shared = Arc::new(Shared { timeout, retry_base, scheme, clock, random, public });
        Self { shared, deadline: None }
    }

    /// The same client, whose calls end by `deadline`. One that is not sent for lack of time is `Failure::Retry`.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { shared: Arc::clone(&self.shared), deadline: Some(deadline) }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.shared.scheme
    }

    /// Connections to whoever holds a pinned certificate; [`Pins::public`] shares those of all others.
    pub(crate) fn transport(&self, pins: &Pins) -> Result<Transport, rustls::Error> {
        if pins.is_public() {
            return self.public();
        }
        Transport::new(pins, self.shared.scheme, self.shared.timeout / 2)
    }

    fn public(&self) -> Result<Transport, rustls::Error> {
        if let Some(transport) = self.shared.public.get() {
            return Ok(transport.clone());
        }
        let made = Transport::new(&Pins::public(), self.shared.scheme, self.shared.timeout / 2)?;
        Ok(self.shared.public.get_or_init(|| made).clone())
    }

    /// Sends until `read` has made something of the answer, or there is no point in trying again.
    pub(crate) async fn send<T>(
        &self,
        transport: Option<&Transport>,
        call: &Call,
        read: impl Fn(&Answer) -> Result<T, Trouble>,
    ) -> Result<T, UpstreamError> {
        let public;
        let transport = if let Some(transport) = transport {
            transport
        } else {
            public = self.public().map_err(|error| no_tls(call.provider, &error))?;
            &public
        };
        let (mut tries, mut blames) = (0, None);
        loop {
            tries += 1;
            let outcome = self.try_once(transport, call).await.and_then(|answer| read(&answer));
            let mut trouble = match outcome {
                Ok(value) => {
                    Watch::note(false);
                    return Ok(value);
                }
                Err(trouble) => trouble,
            };
            // A try that was cut short says nothing of the provider: what the one before it said stands.
            blames = trouble.blames.or(blames);
            trouble.blames = blames;
            Watch::note(blames == Some(true));
            match self.wait(&trouble, call.repeat, tries) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(trouble.into_error(call.provider, call.repeat, &call.secrets)),
            }
        }
    }

    /// How long until the next try; `None` when this was the last.
    fn wait(&self, trouble: &Trouble, repeat: Repeat, tries: u32) -> Option<Duration> {
        let after = match (trouble.fate, repeat) {
            (Fate::NotDone { after }, _) | (Fate::Unknown { after }, Repeat::Safe) => after,
            (Fate::Refused | Fate::NotYet, _) | (Fate::Unknown { .. }, Repeat::Unsafe) => return None,
        };
        if tries >= retry::TRIES {
            return None;
        }
        let wait = retry::wait(tries, self.shared.retry_base, after, &self.shared.random)?;
        let in_time = self.deadline.is_none_or(|deadline| Instant::now() + wait < deadline);
        in_time.then_some(wait)
    }

    async fn try_once(&self, transport: &Transport, call: &Call) -> Result<Answer, Trouble> {
        let started = Instant::now();
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(started));
        let within = left.map_or(self.shared.timeout, |left| left.min(self.shared.timeout));
        let code = call.provider.code(Common::TimedOut);
        if within.is_zero() {
            let detail = String::from("no time was left to send it");
            return Err(Trouble { code, fate: Fate::NotYet, detail, blames: None });
        }
        let now = self.shared.clock.now();
        let answer = tokio::time::timeout(within, call.try_once(transport, now)).await;
        metrics::duration(call.provider.metric(), started.elapsed());
        let answer = answer.unwrap_or_else(|_| {
            let detail = format!("no answer within {} ms", within.as_millis());
            // Of a provider that was given less than its time nothing is known.
            let blames = (within == self.shared.timeout).then_some(true);
            Err(Trouble { code, fate: Fate::Unknown { after: None }, detail, blames })
        });
        if answer.as_ref().is_err_and(|trouble| trouble.code == code) {
            metrics::count("UpstreamTimedOut");
        }
        answer
    }
}

/// A fault of this build or of this machine, and none of the provider's.
pub(crate) fn no_tls(provider: Provider, error: &rustls::Error) -> UpstreamError {
    let trouble = Trouble::refused(provider.code(Common::Unavailable), error.to_string());
    trouble.into_error(provider, Repeat::Safe, &[])
}
