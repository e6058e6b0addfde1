//! The time the services of the sandbox believe it is.

use time::OffsetDateTime;

#[expect(clippy::disallowed_methods, reason = "the sandbox is the outside world, whose clock nobody sets")]
pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// Seconds since 1970 with milliseconds, as AWS writes dates in JSON.
pub(crate) fn epoch_seconds(at: OffsetDateTime) -> f64 {
    // Milliseconds of any date before the year 287,000 fit a double exactly.
    #[expect(clippy::cast_precision_loss, reason = "fits, see above")]
    let millis = (at.unix_timestamp_nanos() / 1_000_000) as f64;
    millis / 1000.0
}
