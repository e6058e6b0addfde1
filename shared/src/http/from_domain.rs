//! Which domain error gives which answer: the one table, with no wildcard, so that a new error does not
//! compile until somebody decides.

use super::{ApiError, ErrorCode};
use crate::account::{ClaimError, ComeError, LinkError, UnlinkError};
use crate::activity::{ActivityError, MAX_ACTION_CHARS};
use crate::audit::AuditError;
use crate::challenge::ChallengeError;
use crate::crypto::SealError;
use crate::db::DbError;
use crate::discord::DiscordError;
use crate::idempotency::IdempotencyError;
use crate::invoice::{self, FinishError, MakeError, Mistake};
use crate::lightning::signed_message::SignatureError;
use crate::lock::LockError;
use crate::mail::MailError;
use crate::metrics;
use crate::node::RegisterError;
use crate::password::HashError;
use crate::privy::PrivyError;
use crate::secrets::SecretError;
use crate::session::OpenSessionError;
use crate::session::child::ChildError;
use crate::session::refresh::RefreshError;
use crate::setup::handover::HandoverError;
use crate::setup::{self, SetupError};
use crate::sign_in::{CarryOutError, Refusal};
use crate::token::{IssueError, TokenError};
use crate::upstream::{Failure, Provider, UpstreamError};
use crate::user::CreateError;
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

impl From<ActivityError> for ApiError {
    fn from(error: ActivityError) -> Self {
        match error {
            ActivityError::Action => {
                Self::invalid("action", format!("must be 1 to {MAX_ACTION_CHARS} characters that can be shown"))
            }
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
            ChildError::Ended => {
                Self::new(ErrorCode::Conflict, "the session of this idempotency key has ended; take a new key")
            }
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
            DiscordError::Refused => {
                Self::new(ErrorCode::IdentityRejected, "Discord does not know this code any more; begin again")
            }
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
            PrivyError::Refused(refusal) => {
                Self::new(ErrorCode::IdentityRejected, "the token is not one of Privy's for this app, or not now")
                    .caused_by(refusal)
            }
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

impl From<LockError> for ApiError {
    fn from(error: LockError) -> Self {
        match error {
            // Somebody else is at it, and will be done.
            LockError::Busy | LockError::Lost => Self::unavailable(error),
            LockError::Db(source) => source.into(),
        }
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::PrivyIdTaken => {
                Self::new(ErrorCode::IdentityTaken, "another account is signed in to with this Privy id")
            }
            CreateError::EmailTaken => Self::new(ErrorCode::EmailTaken, "another account has this e-mail"),
            CreateError::Db(source) => source.into(),
        }
    }
}
