//! Which domain error gives which answer: the one table, with no wildcard, so that a new error does not
//! compile until somebody decides.

use super::{ApiError, ErrorCode};
use crate::account::ClaimError;
use crate::audit::AuditError;
use crate::challenge::ChallengeError;
use crate::crypto::SealError;
use crate::db::DbError;
use crate::idempotency::IdempotencyError;
use crate::invoice::{self, FinishError, MakeError, Mistake};
use crate::lightning::signed_message::SignatureError;
use crate::metrics;
use crate::node::RegisterError;
use crate::secrets::SecretError;
use crate::session::OpenSessionError;
use crate::setup::handover::HandoverError;
use crate::setup::{self, SetupError};
use crate::sign_in::{CarryOutError, Refusal};
use crate::token::{IssueError, TokenError};
use crate::upstream::{Failure, Provider, UpstreamError};
use crate::webhook::btcpay::SecretsError;
use crate::webhook::processor::ProcessError;
use crate::webhook::stripe::TakeInError;

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(_) => {
                metrics::count("DatabaseUnavailable");
                Self::unavailable(error)
            }
            DbError::LockTimeout(_) => Self::unavailable(error),
            // A constraint that no domain function gave a meaning is our mistake, not the caller's.
            DbError::Constraint { .. } | DbError::Other(_) => Self::internal(error),
        }
    }
}

impl From<SecretError> for ApiError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Unavailable { .. } => Self::unavailable(error),
            SecretError::Invalid { .. } => Self::internal(error),
        }
    }
}

impl From<SealError> for ApiError {
    fn from(error: SealError) -> Self {
        Self::internal(error)
    }
}

impl From<ChallengeError> for ApiError {
    fn from(error: ChallengeError) -> Self {
        match error {
            ChallengeError::Gone => challenge_gone(),
            ChallengeError::TooManyAnswers => Self::new(
                ErrorCode::RateLimited,
                "this challenge had too many wrong answers; ask for another",
            )
            .with_header(super::header::RETRY_AFTER, super::HeaderValue::from_static("1")),
            ChallengeError::Db(source) => source.into(),
        }
    }
}

fn challenge_gone() -> ApiError {
    ApiError::new(ErrorCode::ChallengeGone, "the challenge is unknown, used or expired; ask for another")
}

impl From<SignatureError> for ApiError {
    fn from(error: SignatureError) -> Self {
        Self::new(ErrorCode::SignatureRejected, "the signature is not the node's over this challenge")
            .caused_by(error)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::WrongSignature => SignatureError::WrongKey.into(),
            Refusal::UnknownDid => Self::new(ErrorCode::NotFound, "no account has this DID"),
            Refusal::OtherKey => Self::new(ErrorCode::DidAlreadyBound, "this DID is bound to another node"),
            Refusal::NotHere => challenge_gone(),
        }
    }
}

impl From<ClaimError> for ApiError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::DidTaken => {
                Self::new(ErrorCode::DidAlreadyBound, "this DID belongs to another account")
            }
            ClaimError::NodeTaken => {
                Self::new(ErrorCode::NodeAlreadyBound, "this node belongs to another account")
            }
            ClaimError::HasNode => Self::new(ErrorCode::NodeAlreadyBound, "this account has a node already"),
            ClaimError::Db(source) => source.into(),
        }
    }
}

impl From<CarryOutError> for ApiError {
    fn from(error: CarryOutError) -> Self {
        match error {
            CarryOutError::Challenge(source) => source.into(),
            CarryOutError::Claim(source) => source.into(),
            CarryOutError::Node(source) => source.into(),
            CarryOutError::Db(source) => source.into(),
        }
    }
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Secret(source) => source.into(),
            AuditError::Db(source) => source.into(),
        }
    }
}

impl From<OpenSessionError> for ApiError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::Secret(source) => source.into(),
            OpenSessionError::Seal(source) => source.into(),
            OpenSessionError::Db(source) => source.into(),
        }
    }
}

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::PubkeyTaken => {
                Self::new(ErrorCode::NodeAlreadyBound, "this node belongs to another account")
            }
            RegisterError::PlaceTaken => {
                Self::new(ErrorCode::Conflict, "another account registered this node_id at this endpoint")
            }
            RegisterError::Db(source) => source.into(),
        }
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Secret(source) => source.into(),
            IssueError::Db(source) => source.into(),
            IssueError::NoKey | IssueError::Sign(_) => Self::internal(error),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Self::new(ErrorCode::TokenExpired, "the access token has expired"),
            TokenError::Refused => Self::new(ErrorCode::Unauthenticated, "a valid access token is needed"),
            TokenError::Db(source) => source.into(),
        }
    }
}

impl From<IdempotencyError> for ApiError {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::OtherRequest => Self::new(
                ErrorCode::IdempotencyKeyReused,
                "this Idempotency-Key was used for another request",
            ),
            IdempotencyError::InProgress => Self::new(
                ErrorCode::IdempotencyInProgress,
                "a request with this Idempotency-Key is still running; repeat it in a moment",
            )
            .with_header(super::header::RETRY_AFTER, super::HeaderValue::from_static("1")),
            IdempotencyError::Open(source) => Self::internal(source),
            IdempotencyError::Seal(source) => source.into(),
            IdempotencyError::Db(source) => source.into(),
        }
    }
}

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
    let message = format!("{} is not configured in this deployment", provider.name());
    ApiError::not_offered(ErrorCode::ProviderNotConfigured, message)
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
