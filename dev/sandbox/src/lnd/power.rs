//! Whether the machine under a node runs, and what it is changing into.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long a change takes. Both must have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delay {
    /// Looks at the node's status that still find it changing.
    pub polls: u32,
    pub milliseconds: u64,
}

impl Default for Delay {
    fn default() -> Self {
        Self { polls: 1, milliseconds: 0 }
    }
}

struct Change {
    shown: &'static str,
    polls: u32,
    until: Instant,
}

pub(crate) struct Power {
    on: bool,
    change: Option<Change>,
}

impl Power {
    pub(crate) fn on() -> Self {
        Self { on: true, change: None }
    }

    /// `shown` is the status while it lasts. What goes off is off at once.
    pub(crate) fn switch(&mut self, on: bool, shown: &'static str, delay: Delay) {
        let until = Instant::now() + Duration::from_millis(delay.milliseconds);
        *self = Self { on, change: Some(Change { shown, polls: delay.polls, until }) };
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on && self.changing().is_none()
    }

    /// The status while it changes, and `None` when that is over.
    pub(crate) fn changing(&self) -> Option<&'static str> {
        let pending = |change: &&Change| change.polls > 0 || Instant::now() < change.until;
        self.change.as_ref().filter(pending).map(|change| change.shown)
    }

    /// As `changing`, and one look is used up.
    pub(crate) fn look(&mut self) -> Option<&'static str> {
        let shown = self.changing();
        if let Some(change) = &mut self.change {
            change.polls = change.polls.saturating_sub(1);
        }
        shown
    }

    /// Whether it is meant to run.
    pub(crate) fn is_meant_on(&self) -> bool {
        self.on
    }
}
