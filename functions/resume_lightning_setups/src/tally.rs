//! What became of the setups that were taken up.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::setup::State;
use shared::setup::settle::Settled;
use uuid::Uuid;

/// How each setup stood when it was last let go, however often it was taken up.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<Uuid, State>);

#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Report {
    /// Setups taken up: the three that follow, together.
    pub resumed: usize,
    pub finished: usize,
    /// They wait for an operator.
    pub failed: usize,
    /// They go on by themselves.
    pub waiting: usize,
    /// Nodes that were restarted and wait for nobody's password now. Absent when Voltage was in no state to be asked.
    pub unlocked: Option<usize>,
    /// Absent when a provider was in no state to be asked.
    pub settled: Option<Settled>,
}

impl Tally {
    pub(crate) fn note(&mut self, id: Uuid, state: State) {
        self.0.insert(id, state);
    }

    pub(crate) fn resumed(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    pub(crate) fn report(&self, unlocked: Option<usize>, settled: Option<Settled>) -> Report {
        let in_state = |state| self.0.values().filter(|found| **found == state).count();
        Report {
            resumed: self.0.len(),
            finished: in_state(State::Finished),
            failed: in_state(State::Failed),
            waiting: in_state(State::Running),
            unlocked,
            settled,
        }
    }
}
