//! Counters, durations and levels, written as `CloudWatch` embedded metrics: one JSON line on standard output each.
//!
//! The only dimension is the function, because every value of a dimension is billed and kept as a metric.

use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;

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
    write(name, "Count", amount);
}

/// How long something took, in whole milliseconds.
pub fn duration(name: &'static str, took: Duration) {
    write(name, "Milliseconds", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
}

/// How many there are of something at this moment.
pub fn level(name: &'static str, value: u64) {
    write(name, "Count", value);
}

/// For how long something has lasted, in whole seconds.
pub fn age(name: &'static str, age: Duration) {
    write(name, "Seconds", age.as_secs());
}

fn write(name: &'static str, unit: &'static str, value: u64) {
    let Some((function, clock)) = FUNCTION.get() else { return };
    let line = line(function, clock.now(), name, unit, value);
    // A metric that cannot be written must not fail the request it counts.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn line(function: &str, now: OffsetDateTime, name: &str, unit: &str, value: u64) -> Value {
    let millis = now.unix_timestamp_nanos() / 1_000_000;
    json!({
        "_aws": {
            "Timestamp": i64::try_from(millis).unwrap_or_default(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Function"]],
                "Metrics": [{ "Name": name, "Unit": unit }],
            }],
        },
        "Function": function,
        name: value,
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_duration_is_a_metric_of_its_function_and_has_no_other_dimension() {
        let line =
            line("setup_lightning", datetime!(2026-01-09 12:00 UTC), "LndMilliseconds", "Milliseconds", 12);
        let expected = json!({
            "_aws": {
                "Timestamp": 1_767_960_000_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "Satchel",
                    "Dimensions": [["Function"]],
                    "Metrics": [{"Name": "LndMilliseconds", "Unit": "Milliseconds"}],
                }],
            },
            "Function": "setup_lightning",
            "LndMilliseconds": 12,
        });
        assert_eq!(line, expected);
    }
}
