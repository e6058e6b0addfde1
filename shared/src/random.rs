//! Randomness, passed in.

use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

/// Fills a buffer with random bytes.
type Fill = dyn Fn(&mut [u8]) + Send + Sync;

/// Where a function gets random bytes from: the system, or a test's sequence.
#[derive(Clone)]
pub struct Random(Arc<Fill>);

impl Random {
    pub fn system() -> Self {
        Self::from_fn(|buffer| {
            if aws_lc_rs::rand::fill(buffer).is_err() {
                // A key made of anything else would be guessable; there is nothing to continue with.
                std::process::abort();
            }
        })
    }

    pub fn from_fn(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }

    /// A `UUIDv7`: ids sort by the time they were made, which keeps index pages warm.
    pub fn id(&self, now: OffsetDateTime) -> Uuid {
        let millis = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn ids_sort_by_the_millisecond_they_were_made_in() {
        let start = datetime!(2026-01-09 12:00 UTC);
        let random = Random::system();
        let ids: Vec<Uuid> = (0..500).map(|ms| random.id(start + Duration::milliseconds(ms))).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert_eq!(ids[0].to_string()[..13], *"019ba2a0-b600");
    }

    #[test]
    fn no_two_draws_are_alike() {
        let random = Random::system();
        let draws: std::collections::HashSet<[u8; 32]> = (0..1_000).map(|_| random.bytes()).collect();
        assert_eq!(draws.len(), 1_000);
    }
}
