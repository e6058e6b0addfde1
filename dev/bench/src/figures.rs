//! Many numbers as few.

use std::time::Duration;

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

pub fn spread(values: &[f64]) -> String {
    format!("{:.2} ({:.2})", percentile(values, 50), percentile(values, 90))
}

pub fn range(values: &[f64]) -> String {
    format!("{:.0} ({:.0} to {:.0})", percentile(values, 50), percentile(values, 0), percentile(values, 100))
}
