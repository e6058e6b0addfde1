//! Which domain error gives which answer: the one table, with no wildcard, so that a new error does not
//! compile until somebody decides.

use super::{ApiError, ErrorCode};
use crate::account::ClaimError;
use crate::audit::AuditError;
use crate::challenge::ChallengeError;
use crate::crypto::SealError;
use crate::db::DbError;
use crate::idempotency::IdempotencyError;
use crate::lightning::signed_message::SignatureError;
use crate::metrics;
use crate::node::RegisterError;
use crate::secrets::SecretError;
use crate::session::OpenSessionError;
use crate::sign_in::{CarryOutError, Refusal};
use crate::token::{IssueError, TokenError};

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
