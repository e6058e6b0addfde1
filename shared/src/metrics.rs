//! Counters, written as `CloudWatch` embedded metrics: one JSON line on standard output each.
//!
//! The only dimension is the function, because every value of a dimension is billed and kept as a metric.

use std::io::Write;
use std::sync::OnceLock;

use serde_json::json;

use crate::clock::Clock;

const NAMESPACE: &str = "Satchel";

static FUNCTION: OnceLock<(&'static str, Clock)> = OnceLock::new();

/// Names the function whose metrics these are. Until then nothing is written.
pub fn start(function: &'static str, clock: Clock) {
    FUNCTION.get_or_init(|| (function, clock));
}

/// Adds one to the counter `name`.
pub fn count(name: &'static str) {
    add(name, 1);
}

/// Adds `amount` to the counter `name`.
pub fn add(name: &'static str, amount: u64) {
    let Some((function, clock)) = FUNCTION.get() else { return };
    let millis = clock.now().unix_timestamp_nanos() / 1_000_000;
    let line = json!({
        "_aws": {
            "Timestamp": i64::try_from(millis).unwrap_or_default(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Function"]],
                "Metrics": [{ "Name": name, "Unit": "Count" }],
            }],
        },
        "Function": function,
        name: amount,
    });
    // A metric that cannot be written must not fail the request it counts.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
