//! Structured logs: one JSON object a line. What is never logged: bodies, tokens, signatures, macaroons,
//! and any [`crate::crypto::Secret`].

use std::error::Error;

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The most others may say. At `trace` the Lambda runtime writes every request, tokens and all.
const OTHERS: LevelFilter = LevelFilter::WARN;

/// Starts JSON logging of this crate at `level` (`trace`, `debug`, `info`, `warn`, `error`; anything else is
/// `info`), and of the libraries below it at no more than [`OTHERS`].
pub fn start(level: Option<&str>) {
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_max_level(level)
        .finish()
        .with(filter_fn(move |event| {
            *event.level() <= if is_ours(event) { level } else { level.min(OTHERS) }
        }))
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started already");
    }
}

/// An error and what caused it, outermost first.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn is_ours(event: &Metadata<'_>) -> bool {
    let crate_name = event.module_path().and_then(|path| path.split("::").next());
    crate_name == Some(env!("CARGO_CRATE_NAME"))
}
