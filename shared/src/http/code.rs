use ::http::StatusCode;

/// Every code an error can have. The list is closed: docs/api.md and openapi.yaml hold the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    MalformedRequest,
    ValidationFailed,
    Unauthenticated,
    TokenExpired,
    SignatureRejected,
    WebhookRejected,
    Forbidden,
    StepUpRequired,
    NotFound,
    MethodNotAllowed,
    Conflict,
    NodeAlreadyBound,
    DidAlreadyBound,
    NoStore,
    SetupExists,
    AddressTaken,
    NodeNotRegistered,
    IdempotencyInProgress,
    ChallengeGone,
    SeedGone,
    PayloadTooLarge,
    IdempotencyKeyReused,
    RateLimited,
    Internal,
    UpstreamFailed,
    SetupDisabled,
    ProviderNotConfigured,
    Unavailable,
}

impl ErrorCode {
    /// The code as callers see it, and the status it is sent with.
    pub const fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Self::MalformedRequest => ("MALFORMED_REQUEST", StatusCode::BAD_REQUEST),
            Self::ValidationFailed => ("VALIDATION_FAILED", StatusCode::BAD_REQUEST),
            Self::Unauthenticated => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
            Self::TokenExpired => ("TOKEN_EXPIRED", StatusCode::UNAUTHORIZED),
            Self::SignatureRejected => ("SIGNATURE_REJECTED", StatusCode::UNAUTHORIZED),
            Self::WebhookRejected => ("WEBHOOK_REJECTED", StatusCode::BAD_REQUEST),
            Self::Forbidden => ("FORBIDDEN", StatusCode::FORBIDDEN),
            Self::StepUpRequired => ("STEP_UP_REQUIRED", StatusCode::FORBIDDEN),
            Self::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("METHOD_NOT_ALLOWED", StatusCode::METHOD_NOT_ALLOWED),
            Self::Conflict => ("CONFLICT", StatusCode::CONFLICT),
            Self::NodeAlreadyBound => ("NODE_ALREADY_BOUND", StatusCode::CONFLICT),
            Self::DidAlreadyBound => ("DID_ALREADY_BOUND", StatusCode::CONFLICT),
            Self::NoStore => ("NO_STORE", StatusCode::CONFLICT),
            Self::SetupExists => ("SETUP_EXISTS", StatusCode::CONFLICT),
            Self::AddressTaken => ("ADDRESS_TAKEN", StatusCode::CONFLICT),
            Self::NodeNotRegistered => ("NODE_NOT_REGISTERED", StatusCode::CONFLICT),
            Self::IdempotencyInProgress => ("IDEMPOTENCY_IN_PROGRESS", StatusCode::CONFLICT),
            Self::ChallengeGone => ("CHALLENGE_GONE", StatusCode::GONE),
            Self::SeedGone => ("SEED_GONE", StatusCode::GONE),
            Self::PayloadTooLarge => ("PAYLOAD_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE),
            Self::IdempotencyKeyReused => ("IDEMPOTENCY_KEY_REUSED", StatusCode::UNPROCESSABLE_ENTITY),
            Self::RateLimited => ("RATE_LIMITED", StatusCode::TOO_MANY_REQUESTS),
            Self::Internal => ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
            Self::UpstreamFailed => ("UPSTREAM_FAILED", StatusCode::BAD_GATEWAY),
            Self::SetupDisabled => ("SETUP_DISABLED", StatusCode::SERVICE_UNAVAILABLE),
            Self::ProviderNotConfigured => ("PROVIDER_NOT_CONFIGURED", StatusCode::SERVICE_UNAVAILABLE),
            Self::Unavailable => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}
