//! What can go wrong with a call, in the terms its caller must decide by.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Provider, Repeat};

/// What operators and callers see. The list is closed: [`code::ALL`] is all there is.
pub mod code {
    macro_rules! codes {
        ($($name:ident),+ $(,)?) => {
            $(pub const $name: &str = stringify!($name);)+
            pub const ALL: &[&str] = &[$($name),+];
        };
    }

    codes! {
        BTCPAY_BREAKER_OPEN, VOLTAGE_BREAKER_OPEN, LND_BREAKER_OPEN,
        BTCPAY_CERTIFICATE_REFUSED, BTCPAY_KEY_REFUSED, BTCPAY_KEY_UNAVAILABLE, BTCPAY_NOT_FOUND, BTCPAY_REJECTED,
        BTCPAY_STORE_LIMIT, BTCPAY_TIMED_OUT, BTCPAY_UNAVAILABLE, BTCPAY_UNEXPECTED_ANSWER,
        VOLTAGE_CERTIFICATE_REFUSED, VOLTAGE_KEY_REFUSED, VOLTAGE_KEY_UNAVAILABLE, VOLTAGE_NAME_TAKEN,
        VOLTAGE_NOT_FOUND, VOLTAGE_REJECTED, VOLTAGE_TIMED_OUT, VOLTAGE_UNAVAILABLE, VOLTAGE_UNEXPECTED_ANSWER,
        LND_CERTIFICATE_REFUSED, LND_MACAROON_REFUSED, LND_NOT_FOUND, LND_NOT_READY, LND_PASSWORD_REFUSED,
        LND_REJECTED, LND_TIMED_OUT, LND_UNAVAILABLE, LND_UNEXPECTED_ANSWER, LND_URL_REFUSED, LND_WALLET_EXISTS,
        LND_WALLET_LOCKED,
        STRIPE_ACCOUNT_REFUSED, STRIPE_BREAKER_OPEN, STRIPE_CERTIFICATE_REFUSED, STRIPE_KEY_REFUSED,
        STRIPE_KEY_UNAVAILABLE, STRIPE_NOT_FOUND, STRIPE_REJECTED, STRIPE_TIMED_OUT, STRIPE_UNAVAILABLE,
        STRIPE_UNEXPECTED_ANSWER,
    }
}

/// What the caller may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was done, and the same request would be refused again.
    Final,
    /// Asking again does no harm; not before `after`, when the provider said so.
    Retry { after: Option<Duration> },
    /// It may have been done. Look before asking again.
    Ambiguous,
}

/// A call that failed, after every try it was given.
#[derive(Debug)]
pub struct UpstreamError {
    pub provider: Provider,
    pub failure: Failure,
    /// One of [`code`].
    pub code: &'static str,
    /// The provider's own words, for the log only: shortened, printable, without secrets.
    detail: String,
    blames: bool,
}

impl UpstreamError {
    /// Whether the provider was at fault (silence, 5xx, a connection that failed, an answer nobody can read) and
    /// not the request.
    pub fn counts_against_provider(&self) -> bool {
        self.blames
    }

    /// The call was not made: the provider is known to be away for another `after`.
    pub fn breaker_open(provider: Provider, after: Duration) -> Self {
        let code = match provider {
            Provider::Btcpay => code::BTCPAY_BREAKER_OPEN,
            Provider::Voltage => code::VOLTAGE_BREAKER_OPEN,
            Provider::Lnd => code::LND_BREAKER_OPEN,
            Provider::Stripe => code::STRIPE_BREAKER_OPEN,
        };
        let detail = String::from("not called: its breaker is open");
        Self { provider, failure: Failure::Retry { after: Some(after) }, code, detail, blames: false }
    }

    /// A well-formed answer that cannot be the answer to what was asked: what was asked for may have been done.
    pub fn mistaken_answer(provider: Provider) -> Self {
        let detail = String::from("the answer is about something else");
        let code = provider.code(Common::UnexpectedAnswer);
        Self { provider, failure: Failure::Ambiguous, code, detail, blames: true }
    }

    /// The same trouble, when it cannot be told whether the work was done.
    #[must_use]
    pub fn into_ambiguous(self) -> Self {
        Self { failure: Failure::Ambiguous, ..self }
    }

    /// Whether the call was not even made.
    pub fn is_breaker_open(&self) -> bool {
        [
            code::BTCPAY_BREAKER_OPEN,
            code::VOLTAGE_BREAKER_OPEN,
            code::LND_BREAKER_OPEN,
            code::STRIPE_BREAKER_OPEN,
        ]
        .contains(&self.code)
    }

    pub(crate) fn is(&self, code: &'static str) -> bool {
        self.code == code
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}): {}", self.code, self.failure, self.detail)
    }
}

impl std::error::Error for UpstreamError {}

/// What is known about a request after a try that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Refused, now and always.
    Refused,
    /// Certainly not done, and worth another try.
    NotDone { after: Option<Duration> },
    /// Certainly not done, and no better in a second.
    NotYet,
    /// Perhaps done.
    Unknown { after: Option<Duration> },
}

/// Why one try failed.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) code: &'static str,
    pub(crate) fate: Fate,
    pub(crate) detail: String,
    /// Whether the provider was at fault, when that can be told.
    pub(crate) blames: Option<bool>,
}

/// What can happen with every provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Common {
    CertificateRefused,
    NotFound,
    Rejected,
    TimedOut,
    Unavailable,
    UnexpectedAnswer,
}

impl Provider {
    pub(crate) fn code(self, common: Common) -> &'static str {
        match (self, common) {
            (Self::Btcpay, Common::CertificateRefused) => code::BTCPAY_CERTIFICATE_REFUSED,
            (Self::Btcpay, Common::NotFound) => code::BTCPAY_NOT_FOUND,
            (Self::Btcpay, Common::Rejected) => code::BTCPAY_REJECTED,
            (Self::Btcpay, Common::TimedOut) => code::BTCPAY_TIMED_OUT,
            (Self::Btcpay, Common::Unavailable) => code::BTCPAY_UNAVAILABLE,
            (Self::Btcpay, Common::UnexpectedAnswer) => code::BTCPAY_UNEXPECTED_ANSWER,
            (Self::Voltage, Common::CertificateRefused) => code::VOLTAGE_CERTIFICATE_REFUSED,
            (Self::Voltage, Common::NotFound) => code::VOLTAGE_NOT_FOUND,
            (Self::Voltage, Common::Rejected) => code::VOLTAGE_REJECTED,
            (Self::Voltage, Common::TimedOut) => code::VOLTAGE_TIMED_OUT,
            (Self::Voltage, Common::Unavailable) => code::VOLTAGE_UNAVAILABLE,
            (Self::Voltage, Common::UnexpectedAnswer) => code::VOLTAGE_UNEXPECTED_ANSWER,
            (Self::Lnd, Common::CertificateRefused) => code::LND_CERTIFICATE_REFUSED,
            (Self::Lnd, Common::NotFound) => code::LND_NOT_FOUND,
            (Self::Lnd, Common::Rejected) => code::LND_REJECTED,
            (Self::Lnd, Common::TimedOut) => code::LND_TIMED_OUT,
            (Self::Lnd, Common::Unavailable) => code::LND_UNAVAILABLE,
            (Self::Lnd, Common::UnexpectedAnswer) => code::LND_UNEXPECTED_ANSWER,
            (Self::Stripe, Common::CertificateRefused) => code::STRIPE_CERTIFICATE_REFUSED,
            (Self::Stripe, Common::NotFound) => code::STRIPE_NOT_FOUND,
            (Self::Stripe, Common::Rejected) => code::STRIPE_REJECTED,
            (Self::Stripe, Common::TimedOut) => code::STRIPE_TIMED_OUT,
            (Self::Stripe, Common::Unavailable) => code::STRIPE_UNAVAILABLE,
            (Self::Stripe, Common::UnexpectedAnswer) => code::STRIPE_UNEXPECTED_ANSWER,
        }
    }
}

impl Trouble {
    /// The provider answered, and meant it.
    pub(crate) fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, fate: Fate::Refused, detail: detail.into(), blames: Some(false) }
    }

    /// An answer that cannot be what the provider documents.
    pub(crate) fn unexpected(provider: Provider, detail: impl Into<String>) -> Self {
        let code = provider.code(Common::UnexpectedAnswer);
        Self { code, fate: Fate::Unknown { after: None }, detail: detail.into(), blames: Some(true) }
    }

    pub(crate) fn into_error(
        self,
        provider: Provider,
        repeat: Repeat,
        secrets: &[Zeroizing<String>],
    ) -> UpstreamError {
        let failure = match (self.fate, repeat) {
            (Fate::Refused, _) => Failure::Final,
            (Fate::NotDone { after }, _) | (Fate::Unknown { after }, Repeat::Safe) => {
                Failure::Retry { after }
            }
            (Fate::NotYet, _) => Failure::Retry { after: None },
            (Fate::Unknown { .. }, Repeat::Unsafe) => Failure::Ambiguous,
        };
        let detail = super::text::loggable(&self.detail, secrets);
        let blames = self.blames.unwrap_or(false);
        UpstreamError { provider, failure, code: self.code, detail, blames }
    }
}
