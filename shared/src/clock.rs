//! The time, passed in.

use std::sync::Arc;

use time::OffsetDateTime;

/// Where a function gets the time from: the system's clock, or a test's.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

impl Clock {
    pub fn system() -> Self {
        Self::from_fn(|| {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
            OffsetDateTime::now_utc()
        })
    }

    pub fn from_fn(now: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time in whole microseconds, which is what Postgres keeps: a value reads back as it was written.
    pub fn now(&self) -> OffsetDateTime {
        let now = (self.0)();
        now.replace_nanosecond(now.microsecond() * 1_000).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::Clock;

    #[test]
    fn the_clock_ticks_in_whole_microseconds() {
        let now = Clock::from_fn(|| datetime!(2026-01-09 12:00:00.123456789 UTC)).now();
        assert_eq!(now, datetime!(2026-01-09 12:00:00.123456 UTC));
    }
}
