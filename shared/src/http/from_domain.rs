//! Which domain error gives which answer: the one table, with no wildcard, so that a new error does not
//! compile until somebody decides. What providers bring about stands in [`from_provider`](super::from_provider).

use super::{ApiError, ErrorCode};
use crate::account::{ClaimError, ComeError, LinkError, UnlinkError};
use crate::activity::{ActivityError, MAX_ACTION_CHARS};
use crate::audit::AuditError;
use crate::challenge::ChallengeError;
use crate::crypto::SealError;
use crate::db::DbError;
use crate::idempotency::IdempotencyError;
use crate::lightning::signed_message::SignatureError;
use crate::lock::LockError;
use crate::mail::MailError;
use crate::metrics;
use crate::node::RegisterError;
use crate::password::HashError;
use crate::secrets::SecretError;
use crate::session::OpenSessionError;
use crate::session::child::ChildError;
use crate::session::refresh::RefreshError;
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

impl From<ActivityError> for ApiError {
    fn from(error: ActivityError) -> Self {
        match error {
            ActivityError::Action => Self::invalid(
                "action",
                format!("must be 1 to {MAX_ACTION_CHARS} characters that can be shown"),
            ),
            ActivityError::Unwritable => Self::invalid("details", "must not contain the character U+0000"),
            ActivityError::TooLarge => Self::invalid("details", "must be no larger than 8 KiB"),
            ActivityError::Db(error) => error.into(),
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

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        Self::internal(error)
    }
}

impl From<MailError> for ApiError {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Secret(error) => error.into(),
            MailError::Seal(error) => error.into(),
            MailError::Db(error) => error.into(),
        }
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
            ClaimError::EmailTaken => {
                Self::new(ErrorCode::EmailTaken, "this e-mail address is another account's")
            }
            ClaimError::IdentityTaken => {
                Self::new(ErrorCode::IdentityTaken, "another account is signed in to with this")
            }
            ClaimError::HasOne => {
                Self::new(ErrorCode::Conflict, "this account has another one of this kind: unlink it first")
            }
            ClaimError::Db(source) => source.into(),
        }
    }
}

impl From<ComeError> for ApiError {
    fn from(error: ComeError) -> Self {
        match error {
            ComeError::Deleted => account_deleted(),
            ComeError::Claim(source) => source.into(),
        }
    }
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::EmailNotVerified => {
                Self::new(ErrorCode::EmailNotVerified, "verify this account's e-mail address first")
            }
            LinkError::Deleted => account_deleted(),
            LinkError::Claim(source) => source.into(),
        }
    }
}

impl From<UnlinkError> for ApiError {
    fn from(error: UnlinkError) -> Self {
        match error {
            UnlinkError::Permanent => {
                Self::new(ErrorCode::Conflict, "a node and its names are never unlinked: rebind the node")
            }
            UnlinkError::NotThere => Self::new(ErrorCode::NotFound, "this account has no such identity"),
            UnlinkError::Last => {
                Self::new(ErrorCode::LastIdentity, "nobody could sign in to this account without it")
            }
            UnlinkError::Db(source) => source.into(),
        }
    }
}

/// Said only to who has proven that the account was theirs.
pub fn account_deleted() -> ApiError {
    ApiError::new(ErrorCode::AccountDeleted, "this account was deleted")
}

impl From<CarryOutError> for ApiError {
    fn from(error: CarryOutError) -> Self {
        match error {
            CarryOutError::Challenge(source) => source.into(),
            CarryOutError::Claim(source) => source.into(),
            CarryOutError::Link(source) => source.into(),
            CarryOutError::Deleted => account_deleted(),
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

impl From<RefreshError> for ApiError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Limit(exceeded) => super::limit::refusal(exceeded),
            RefreshError::Secret(source) => source.into(),
            RefreshError::Open(source) => Self::internal(source),
            RefreshError::Db(source) => source.into(),
        }
    }
}

impl From<ChildError> for ApiError {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::NoParent => Self::new(ErrorCode::Unauthenticated, "a valid access token is needed"),
            ChildError::Ended => Self::new(
                ErrorCode::Conflict,
                "the session of this idempotency key has ended; take a new key",
            ),
            ChildError::Anothers => Self::new(
                ErrorCode::Conflict,
                "another session of this account used this idempotency key; take a new key",
            ),
            ChildError::Open(source) => source.into(),
            ChildError::Read(source) => source.into(),
            ChildError::Db(source) => source.into(),
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

impl From<LockError> for ApiError {
    fn from(error: LockError) -> Self {
        match error {
            // Somebody else is at it, and will be done.
            LockError::Busy | LockError::Lost => Self::unavailable(error),
            LockError::Db(source) => source.into(),
        }
    }
}
