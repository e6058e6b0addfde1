use std::time::Duration;

use crate::config::Config;

const DAY_SECONDS: u64 = 86_400;

/// How long a session lives without use, and at most.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    pub idle: Duration,
    pub absolute: Duration,
}

impl Lifetimes {
    /// Wires `SESSION_IDLE_DAYS` (7) and `SESSION_ABSOLUTE_DAYS` (30).
    pub fn wire(config: &mut Config) -> Self {
        let mut days = |name, default| {
            Duration::from_secs(u64::from(config.number(name, default, 1..=365)) * DAY_SECONDS)
        };
        Self { idle: days("SESSION_IDLE_DAYS", 7), absolute: days("SESSION_ABSOLUTE_DAYS", 30) }
    }
}
