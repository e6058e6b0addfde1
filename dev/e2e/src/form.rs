//! The one error body. The codes stand here a second time, so that a change of the first is noticed.

use anyhow::{Context, Result, ensure};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::client::Answer;

/// Every code and its status.
pub const CODES: [(&str, u16); 39] = [
    ("MALFORMED_REQUEST", 400),
    ("VALIDATION_FAILED", 400),
    ("UNAUTHENTICATED", 401),
    ("TOKEN_EXPIRED", 401),
    ("SIGNATURE_REJECTED", 401),
    ("INVALID_CREDENTIALS", 401),
    ("IDENTITY_REJECTED", 401),
    ("REFRESH_REJECTED", 401),
    ("WEBHOOK_REJECTED", 400),
    ("FORBIDDEN", 403),
    ("STEP_UP_REQUIRED", 403),
    ("EMAIL_NOT_VERIFIED", 403),
    ("ACCOUNT_DELETED", 403),
    ("NOT_FOUND", 404),
    ("METHOD_NOT_ALLOWED", 405),
    ("CONFLICT", 409),
    ("NODE_ALREADY_BOUND", 409),
    ("DID_ALREADY_BOUND", 409),
    ("VERSION_CONFLICT", 409),
    ("EMAIL_TAKEN", 409),
    ("IDENTITY_TAKEN", 409),
    ("LAST_IDENTITY", 409),
    ("NO_STORE", 409),
    ("SETUP_EXISTS", 409),
    ("ADDRESS_TAKEN", 409),
    ("NODE_NOT_REGISTERED", 409),
    ("IDEMPOTENCY_IN_PROGRESS", 409),
    ("CHALLENGE_GONE", 410),
    ("SEED_GONE", 410),
    ("TOKEN_GONE", 410),
    ("REFERRAL_GONE", 410),
    ("PAYLOAD_TOO_LARGE", 413),
    ("IDEMPOTENCY_KEY_REUSED", 422),
    ("RATE_LIMITED", 429),
    ("INTERNAL", 500),
    ("UPSTREAM_FAILED", 502),
    ("SETUP_DISABLED", 503),
    ("PROVIDER_NOT_CONFIGURED", 503),
    ("UNAVAILABLE", 503),
];

/// The code of an error, if the answer is one to the letter.
pub fn error_code(answer: &Answer) -> Result<String> {
    let parsed = answer.json()?;
    let body = parsed.as_object().with_context(|| format!("no object: {answer}"))?;
    let text = |field: &str| {
        let found = body.get(field).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
        found.with_context(|| format!("{field} is missing: {answer}"))
    };
    let fields = ["success", "error", "message", "requestId", "timestamp", "details"];
    ensure!(body.keys().all(|key| fields.contains(&key.as_str())), "a field too many: {answer}");
    ensure!(body.get("success").is_some_and(|value| value == false), "it claims success: {answer}");
    text("message")?;
    ensure!(text("requestId")? == answer.request_id(), "another id in x-request-id: {answer}");
    ensure!(answer.header("content-type") == "application/json", "the content type: {answer}");
    ensure!(answer.header("cache-control") == "no-store", "it may be cached: {answer}");
    let timestamp = text("timestamp")?;
    OffsetDateTime::parse(timestamp, &Rfc3339).with_context(|| format!("the timestamp: {answer}"))?;
    ensure!(timestamp.ends_with('Z'), "the timestamp is not in UTC: {answer}");

    let code = text("error")?;
    let (_, status) = CODES.iter().find(|(known, _)| *known == code).context("an unlisted code")?;
    ensure!(answer.status == *status, "{code} is not {status}: {answer}");
    check_headers(code, answer)?;
    if let Some(details) = body.get("details") {
        let told = details.as_array().is_some_and(|all| {
            !all.is_empty() && all.iter().all(|one| one["field"].is_string() && one["message"].is_string())
        });
        ensure!(told, "the details: {answer}");
    }
    Ok(code.to_owned())
}

/// What a client acts on beside the body.
fn check_headers(code: &str, answer: &Answer) -> Result<()> {
    if code == "METHOD_NOT_ALLOWED" {
        ensure!(!answer.header("allow").is_empty(), "no Allow: {answer}");
    }
    let soon = ["RATE_LIMITED", "UNAVAILABLE", "IDEMPOTENCY_IN_PROGRESS", "UPSTREAM_FAILED"].contains(&code);
    // Only an operator's hand changes those.
    let later = ["SETUP_DISABLED", "PROVIDER_NOT_CONFIGURED"].contains(&code);
    if soon || later {
        let seconds: u64 = answer.header("retry-after").parse().context("Retry-After is not a number")?;
        ensure!(if later { seconds == 600 } else { (1..=60).contains(&seconds) }, "Retry-After: {seconds}");
    }
    Ok(())
}
