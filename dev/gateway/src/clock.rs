//! Time and chance. The gateway plays AWS, so its clock is the wall and its ids are random.

use std::time::Duration;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::format_description};
use uuid::Uuid;

#[expect(clippy::disallowed_methods, reason = "`Clock` is the functions'; nothing here is set by a test")]
pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[expect(clippy::disallowed_methods, reason = "`Random` is the functions'; nothing here is set by a test")]
pub(crate) fn new_id() -> Uuid {
    Uuid::new_v4()
}

pub(crate) fn millis(time: OffsetDateTime) -> i64 {
    time.unix_timestamp() * 1000 + i64::from(time.millisecond())
}

/// The time at which something that may take this long has to be done, in milliseconds since 1970.
pub(crate) fn deadline_millis(timeout: Duration) -> i64 {
    millis(now()).saturating_add(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX))
}

/// Whole seconds, as in `2026-01-09T12:00:00Z`.
pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}

/// The common log format, as in `12/Mar/2020:19:03:58 +0000`.
pub(crate) fn common_log(time: OffsetDateTime) -> String {
    let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    time.to_offset(UtcOffset::UTC).format(format).unwrap_or_default()
}

/// A new X-Ray root, as in `1-5fff599f-6fca6ee66e37fe5e518eb45b`.
pub(crate) fn trace_root(time: OffsetDateTime) -> String {
    let random = new_id().simple().to_string();
    format!("1-{:08x}-{}", time.unix_timestamp(), &random[..24])
}
