//! How long to wait before another try.

use std::time::Duration;

use http::HeaderValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::random::Random;

/// How often a call is tried in all.
pub(super) const TRIES: u32 = 3;
/// A provider that asks for more is left alone: the caller comes back another time.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// No `Retry-After` puts a caller off for longer.
const LONGEST_AFTER: Duration = Duration::from_hours(1);

/// `Retry-After` in either of its forms (RFC 9110, section 10.2.3).
pub(super) fn after(value: &HeaderValue, now: OffsetDateTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().ok()?)
    } else {
        let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
        Duration::try_from(date - now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_AFTER))
}

/// Full jitter: anything from nothing to `base`, doubled with every try, so that those who failed together do not
/// return together. `None` when the provider wants to be left alone for longer than a call may last.
pub(super) fn wait(tries: u32, base: Duration, after: Option<Duration>, random: &Random) -> Option<Duration> {
    let ceiling = base.saturating_mul(1 << tries.saturating_sub(1).min(16));
    let fraction = f64::from(u32::from_be_bytes(random.bytes())) / f64::from(u32::MAX);
    let jitter = ceiling.mul_f64(fraction);
    match after {
        Some(after) if after > LONGEST_WAIT => None,
        Some(after) => Some(after + jitter),
        None => Some(jitter),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-09 12:00 UTC);
    const BASE: Duration = Duration::from_millis(200);

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let read = |text| after(&HeaderValue::from_static(text), NOW);
        assert_eq!(read("3"), Some(Duration::from_secs(3)));
        assert_eq!(read("Fri, 09 Jan 2026 12:00:04 GMT"), Some(Duration::from_secs(4)));
        assert_eq!(read("Fri, 09 Jan 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("999999999"), Some(LONGEST_AFTER));
        for nonsense in ["", "-1", "1.5", "soon", "99999999999999999999999"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_wait_is_anything_up_to_twice_the_one_before() {
        let most = Random::from_fn(|buffer| buffer.fill(0xff));
        let least = Random::from_fn(|buffer| buffer.fill(0));
        for (tries, ceiling) in [(1, BASE), (2, 2 * BASE), (3, 4 * BASE)] {
            assert_eq!(wait(tries, BASE, None, &most), Some(ceiling));
            assert_eq!(wait(tries, BASE, None, &least), Some(Duration::ZERO));
        }
    }

    #[test]
    fn a_short_retry_after_is_waited_for_and_a_long_one_is_not() {
        let least = Random::from_fn(|buffer| buffer.fill(0));
        let asked = |seconds| wait(1, BASE, Some(Duration::from_secs(seconds)), &least);
        assert_eq!(asked(5), Some(Duration::from_secs(5)));
        assert_eq!(asked(6), None);
    }
}
