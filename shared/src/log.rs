//! Structured logs: one JSON object a line. What is never logged: bodies, tokens, signatures, macaroons,
//! and any [`crate::crypto::Secret`].

use tracing::level_filters::LevelFilter;

/// Starts JSON logging at `level` (`trace`, `debug`, `info`, `warn`, `error`; anything else is `info`).
pub fn start(level: Option<&str>) {
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_max_level(level)
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started already");
    }
}
