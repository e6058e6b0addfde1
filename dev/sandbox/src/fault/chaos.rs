//! Trouble without a script: a fraction of all requests of a service, drawn from a seed.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Faults, Misbehaviour, misbehaviour::millis};
use crate::{Service, seed::Seed, world::lock};

/// Whether the n-th request of one method and path of one service is struck, and by what, follows from the seed
/// alone: whatever else is called in between, and in whatever order, a run with the same seed is the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chaos {
    pub seed: u64,
    /// Of all requests, between 0 and 1.
    pub fraction: f64,
    /// One of these each time, all equally likely.
    pub kinds: Vec<Misbehaviour>,
}

impl Chaos {
    /// Every kind of misbehaviour but `hang`; what waits, waits so long.
    pub fn everything(seed: u64, fraction: f64, wait: Duration) -> Self {
        let millis = millis(wait);
        let kinds = vec![
            Misbehaviour::FailBefore { status: 503, body: "out of service".into() },
            Misbehaviour::FailAfter { status: 502, body: "bad gateway".into() },
            Misbehaviour::Stall { millis },
            Misbehaviour::StallAfter { millis },
            Misbehaviour::CutBody { bytes: 20 },
            Misbehaviour::Garbage,
            Misbehaviour::Duplicate,
            Misbehaviour::DuplicateId,
            Misbehaviour::CloseBefore,
            Misbehaviour::CloseAfter,
            Misbehaviour::Late { millis },
            Misbehaviour::RateLimited { retry_after: 1 },
        ];
        Self { seed, fraction, kinds }
    }

    fn check(&self) -> anyhow::Result<()> {
        let fraction = self.fraction;
        anyhow::ensure!((0.0..=1.0).contains(&fraction), "fraction {fraction} is not between 0 and 1");
        anyhow::ensure!(!self.kinds.is_empty(), "chaos of no kind at all");
        self.kinds.iter().try_for_each(Misbehaviour::check)
    }

    pub(super) fn draw(
        &self,
        service: Service,
        method: &str,
        path: &str,
        count: u64,
    ) -> Option<Misbehaviour> {
        let seed = Seed(self.seed);
        let label = format!("chaos {service:?} {method} {path} {count}");
        if seed.fraction(&label) >= self.fraction {
            return None;
        }
        let [a, b, ..] = seed.bytes(&format!("{label} kind"));
        let at = usize::from(u16::from_be_bytes([a, b])) % self.kinds.len().max(1);
        self.kinds.get(at).cloned()
    }
}

impl Faults {
    /// In place of what chaos the service had.
    pub fn set_chaos(&self, service: Service, chaos: Chaos) -> anyhow::Result<()> {
        chaos.check()?;
        lock(&self.0.faults).chaos.insert(service, chaos);
        Ok(())
    }

    pub fn end_chaos(&self, service: Service) {
        lock(&self.0.faults).chaos.remove(&service);
    }

    pub fn chaos(&self, service: Service) -> Option<Chaos> {
        lock(&self.0.faults).chaos.get(&service).cloned()
    }

    /// How many requests of the service chaos has struck so far, by kind.
    pub fn chaos_struck(&self, service: Service) -> BTreeMap<&'static str, u64> {
        let faults = lock(&self.0.faults);
        let of_service = faults.struck.iter().filter(|((s, _), _)| *s == service);
        of_service.map(|((_, kind), count)| (*kind, *count)).collect()
    }
}
