//! [`from_domain`](super::from_domain) of providers, and of what is done with them: setups, invoices, webhooks.

use super::{ApiError, ErrorCode};
use crate::discord::DiscordError;
use crate::idempotency::IdempotencyError;
use crate::invoice::{self, FinishError, MakeError, Mistake};
use crate::privy::PrivyError;
use crate::setup::handover::HandoverError;
use crate::setup::{self, SetupError};
use crate::upstream::{Failure, Provider, UpstreamError};
use crate::webhook::btcpay::SecretsError;
use crate::webhook::processor::ProcessError;
use crate::webhook::stripe::TakeInError;

/// The caller learns that a provider is in trouble, and neither which nor what it said.
impl From<UpstreamError> for ApiError {
    fn from(error: UpstreamError) -> Self {
        match error.failure {
            // It answers, and nobody can read it.
            Failure::Retry { after: None } if error.code.ends_with("_UNEXPECTED_ANSWER") => {
                provider_failed(1).caused_by(error)
            }
            Failure::Retry { after } => {
                let seconds = after.map_or(1, |after| after.as_secs().max(1));
                Self::unavailable_for(seconds).caused_by(error)
            }
            // The same request may succeed once somebody put right what the provider does not like.
            Failure::Final => provider_failed(60).caused_by(error),
            Failure::Ambiguous => provider_failed(1).caused_by(error),
        }
    }
}

fn provider_failed(seconds: u64) -> ApiError {
    ApiError::new(ErrorCode::UpstreamFailed, "a provider failed; repeat the request later")
        .with_header(super::header::RETRY_AFTER, super::HeaderValue::from(seconds))
}

impl From<invoice::BeginError> for ApiError {
    fn from(error: invoice::BeginError) -> Self {
        match error {
            invoice::BeginError::NoStore => {
                Self::new(ErrorCode::NoStore, "this account has no store yet: set up Lightning first")
            }
            invoice::BeginError::Idempotency(source) => source.into(),
            invoice::BeginError::Db(source) => source.into(),
        }
    }
}

impl From<MakeError> for ApiError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::NotConfigured => {
                Self::unavailable_for(60).caused_by("the account has a store, and BTCPay is not configured")
            }
            MakeError::Upstream(source) => source.into(),
            MakeError::Mistaken(mistake) => mistake.into(),
        }
    }
}

impl From<Mistake> for ApiError {
    fn from(mistake: Mistake) -> Self {
        provider_failed(60).caused_by(mistake)
    }
}

impl From<FinishError> for ApiError {
    fn from(error: FinishError) -> Self {
        match error {
            FinishError::LeaseLost => IdempotencyError::InProgress.into(),
            FinishError::NotItsOwn => Mistake::NotItsOwn.into(),
            FinishError::Db(source) => source.into(),
        }
    }
}

impl From<setup::BeginError> for ApiError {
    fn from(error: setup::BeginError) -> Self {
        match error {
            setup::BeginError::AddressTaken => {
                Self::new(ErrorCode::AddressTaken, "this Lightning address is another account's")
            }
            setup::BeginError::HasOther => {
                Self::new(ErrorCode::SetupExists, "this account has a setup with other names or another node")
            }
            setup::BeginError::Db(source) => source.into(),
        }
    }
}

impl From<SetupError> for ApiError {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Upstream(source) => source.into(),
            SetupError::NotConfigured(provider) => not_configured(provider),
            // Somebody else is at it, and will be done.
            SetupError::LeaseLost | SetupError::OutOfTime => Self::unavailable(error),
            SetupError::Unusable(_) | SetupError::Open(_) => Self::internal(error),
            SetupError::Secret(source) => source.into(),
            SetupError::Seal(source) => source.into(),
            SetupError::Audit(source) => source.into(),
            SetupError::Db(source) => source.into(),
        }
    }
}

/// What this deployment leaves out.
pub fn not_configured(provider: Provider) -> ApiError {
    sign_in_not_configured(provider.name())
}

/// The same of whom people sign in with.
pub fn sign_in_not_configured(name: &str) -> ApiError {
    let message = format!("{name} is not configured in this deployment");
    ApiError::not_offered(ErrorCode::ProviderNotConfigured, message)
}

impl From<DiscordError> for ApiError {
    fn from(error: DiscordError) -> Self {
        match error {
            DiscordError::Refused => Self::new(
                ErrorCode::IdentityRejected,
                "Discord does not know this code any more; begin again",
            ),
            // Whoever runs this has to put it right.
            DiscordError::Misconfigured(_) => provider_failed(60).caused_by(error),
            DiscordError::Unavailable(_) => Self::unavailable(error),
            DiscordError::Secret(source) => source.into(),
        }
    }
}

/// Why a token is refused is for the log.
impl From<PrivyError> for ApiError {
    fn from(error: PrivyError) -> Self {
        match error {
            PrivyError::Refused(refusal) => Self::new(
                ErrorCode::IdentityRejected,
                "the token is not one of Privy's for this app, or not now",
            )
            .caused_by(refusal),
            PrivyError::Unavailable(_) => Self::unavailable(error),
            PrivyError::Secret(source) => source.into(),
        }
    }
}

impl From<HandoverError> for ApiError {
    fn from(error: HandoverError) -> Self {
        match error {
            HandoverError::NoWallet => {
                Self::new(ErrorCode::NotFound, "this account has no wallet that was made for it")
            }
            HandoverError::Gone => Self::new(ErrorCode::SeedGone, "the seed was handed over and erased"),
            HandoverError::Open(source) => Self::internal(source),
            HandoverError::Audit(source) => source.into(),
            HandoverError::Db(source) => source.into(),
        }
    }
}

impl From<SecretsError> for ApiError {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::UnknownStore => Self::new(ErrorCode::NotFound, "no such store"),
            SecretsError::Open(source) => Self::internal(source),
            SecretsError::Unreadable => Self::internal("the store's configuration opened to something else"),
            SecretsError::Audit(source) => source.into(),
            SecretsError::Db(source) => source.into(),
        }
    }
}

impl From<TakeInError> for ApiError {
    fn from(error: TakeInError) -> Self {
        match error {
            TakeInError::Seal(source) => source.into(),
            TakeInError::Db(source) => source.into(),
        }
    }
}

impl From<ProcessError> for ApiError {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Secret(source) => source.into(),
            ProcessError::Seal(source) => source.into(),
            ProcessError::Db(source) => source.into(),
        }
    }
}
