//! The one form of errors, and the headers that name a key.

mod request;

use serde_json::{Value, json};
use time::macros::datetime;

use super::*;

/// docs/api.md, the whole table.
const TABLE: [(ErrorCode, &str, u16); 28] = [
    (ErrorCode::MalformedRequest, "MALFORMED_REQUEST", 400),
    (ErrorCode::ValidationFailed, "VALIDATION_FAILED", 400),
    (ErrorCode::Unauthenticated, "UNAUTHENTICATED", 401),
    (ErrorCode::TokenExpired, "TOKEN_EXPIRED", 401),
    (ErrorCode::SignatureRejected, "SIGNATURE_REJECTED", 401),
    (ErrorCode::WebhookRejected, "WEBHOOK_REJECTED", 400),
    (ErrorCode::Forbidden, "FORBIDDEN", 403),
    (ErrorCode::StepUpRequired, "STEP_UP_REQUIRED", 403),
    (ErrorCode::NotFound, "NOT_FOUND", 404),
    (ErrorCode::MethodNotAllowed, "METHOD_NOT_ALLOWED", 405),
    (ErrorCode::Conflict, "CONFLICT", 409),
    (ErrorCode::NodeAlreadyBound, "NODE_ALREADY_BOUND", 409),
    (ErrorCode::DidAlreadyBound, "DID_ALREADY_BOUND", 409),
    (ErrorCode::NoStore, "NO_STORE", 409),
    (ErrorCode::SetupExists, "SETUP_EXISTS", 409),
    (ErrorCode::AddressTaken, "ADDRESS_TAKEN", 409),
    (ErrorCode::NodeNotRegistered, "NODE_NOT_REGISTERED", 409),
    (ErrorCode::IdempotencyInProgress, "IDEMPOTENCY_IN_PROGRESS", 409),
    (ErrorCode::ChallengeGone, "CHALLENGE_GONE", 410),
    (ErrorCode::SeedGone, "SEED_GONE", 410),
    (ErrorCode::PayloadTooLarge, "PAYLOAD_TOO_LARGE", 413),
    (ErrorCode::IdempotencyKeyReused, "IDEMPOTENCY_KEY_REUSED", 422),
    (ErrorCode::RateLimited, "RATE_LIMITED", 429),
    (ErrorCode::Internal, "INTERNAL", 500),
    (ErrorCode::UpstreamFailed, "UPSTREAM_FAILED", 502),
    (ErrorCode::SetupDisabled, "SETUP_DISABLED", 503),
    (ErrorCode::ProviderNotConfigured, "PROVIDER_NOT_CONFIGURED", 503),
    (ErrorCode::Unavailable, "UNAVAILABLE", 503),
];

fn body(error: ApiError) -> Value {
    serde_json::from_str(&sent(error).body).unwrap()
}

fn sent(error: ApiError) -> Reply {
    error.into_reply("the request", datetime!(2026-01-09 12:00:00.987654321 UTC))
}

fn headers(reply: &Reply) -> Vec<(&str, &str)> {
    reply.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

#[test]
fn every_code_has_its_status() {
    for (code, name, status) in TABLE {
        let (found, with) = code.parts();
        assert_eq!((found, with.as_u16()), (name, status));
        let reply = sent(ApiError::new(code, "no"));
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(body(ApiError::new(code, "no"))["error"], name);
    }
}

#[test]
fn no_two_codes_share_a_name() {
    let names: std::collections::HashSet<&str> = TABLE.iter().map(|(code, ..)| code.parts().0).collect();
    assert_eq!(names.len(), TABLE.len());
}

#[test]
fn an_error_is_one_object_of_five_fields_in_order() {
    let reply = sent(ApiError::new(ErrorCode::ChallengeGone, "ask for another").caused_by("secret cause"));
    let expected = r#"{"success":false,"error":"CHALLENGE_GONE","message":"ask for another","requestId":"the request","timestamp":"2026-01-09T12:00:00Z"}"#;
    assert_eq!(reply.body, expected);
    assert_eq!(headers(&reply), [("content-type", "application/json")]);
    assert!(reply.cookies.is_empty());
}

#[test]
fn a_field_at_fault_adds_details() {
    let expected = json!({
        "success": false,
        "error": "VALIDATION_FAILED",
        "message": "a field is missing or not as it must be",
        "requestId": "the request",
        "timestamp": "2026-01-09T12:00:00Z",
        "details": [{ "field": "did", "message": "is not a DID" }],
    });
    assert_eq!(body(ApiError::invalid("did", "is not a DID")), expected);
}

#[test]
fn the_caller_never_sees_the_cause_and_the_log_sees_all_of_it() {
    let cause = crate::db::DbError::unavailable("host db.internal refused");
    let error = ApiError::unavailable(cause);
    let expected = "the database is not available: host db.internal refused";
    assert_eq!(error.causes().as_deref(), Some(expected));

    let reply = sent(error);

    assert!(!reply.body.contains("db.internal"));
    assert_eq!(headers(&reply), [("content-type", "application/json"), ("retry-after", "1")]);
}

#[test]
fn what_went_wrong_on_our_side_says_no_more_than_that() {
    let said = body(ApiError::internal("column users.password does not exist"));
    assert_eq!(said["message"], "something went wrong on our side");
    assert_eq!(said["error"], "INTERNAL");
    assert!(ApiError::new(ErrorCode::NotFound, "no such path").causes().is_none());
}

#[test]
fn both_refusals_of_a_token_name_the_scheme() {
    for (code, ..) in TABLE {
        let names_scheme =
            headers(&sent(ApiError::new(code, "no"))).contains(&("www-authenticate", "Bearer"));
        let about_tokens = matches!(code, ErrorCode::Unauthenticated | ErrorCode::TokenExpired);
        assert_eq!(names_scheme, about_tokens, "{code:?}");
    }
}

#[test]
fn headers_of_an_error_are_sent() {
    let allow = (header::ALLOW, HeaderValue::from_static("GET, POST"));
    let error = ApiError::new(ErrorCode::MethodNotAllowed, "no").with_header(allow.0, allow.1);
    assert!(headers(&sent(error)).contains(&("allow", "GET, POST")));
}

#[test]
fn an_idempotency_key_is_quoted_or_bare() {
    let long = "k".repeat(255);
    for (header, key) in [
        ("abc", "abc"),
        ("\"abc\"", "abc"),
        ("a", "a"),
        ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ("\"a\"b\"", "a\"b"),
        ("\"abc", "\"abc"),
        ("!~", "!~"),
        (long.as_str(), long.as_str()),
    ] {
        assert_eq!(idempotent::parse(header).ok(), Some(key), "{header}");
    }
}

#[test]
fn what_cannot_be_an_idempotency_key_is_refused_unquoted() {
    let long = "k".repeat(256);
    for header in ["", "\"\"", "two words", " abc", "abc\t", "caf\u{e9}-canary", "\u{7f}", long.as_str()] {
        let said = body(idempotent::parse(header).unwrap_err());
        assert_eq!(said["error"], "VALIDATION_FAILED", "{header}");
        assert_eq!(said["details"][0]["field"], "Idempotency-Key");
        assert!(!said.to_string().contains("canary"));
    }
}
