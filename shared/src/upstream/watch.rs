//! What the tries of a call say of its provider while the call goes on. A call that its caller gives up half-way comes
//! to no result, and may have met with nothing but silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

tokio::task_local! {
    static WATCH: Watch;
}

/// Looks over the calls that are made within one future.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<AtomicBool>);

impl Watch {
    pub fn over<F: Future>(&self, calls: F) -> impl Future<Output = F::Output> {
        WATCH.scope(self.clone(), calls)
    }

    /// Whether the last try that had its time found the provider at fault.
    pub fn saw_fault(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// For whoever watches, if anybody does.
    pub(super) fn note(at_fault: bool) {
        let _ = WATCH.try_with(|watch| watch.0.store(at_fault, Ordering::Relaxed));
    }
}
