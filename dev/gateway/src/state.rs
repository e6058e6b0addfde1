//! What is known of one function's processes at one moment.

use crate::{clock, failure::Outcome, lambda::Delivery};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) queue: VecDeque<Job>,
    pub(crate) workers: BTreeMap<u64, Worker>,
    /// The last one is used first, so that few processes are kept warm.
    pub(crate) idle: Vec<(u64, oneshot::Sender<Delivery>)>,
    pub(crate) waiting_for_ready: Vec<oneshot::Sender<Result<Duration, String>>>,
    pub(crate) spawned: u64,
    pub(crate) failed_starts: u32,
    pub(crate) not_before: Option<Instant>,
    pub(crate) last_failure: String,
    pub(crate) stopping: bool,
    /// How the process that ended last did.
    pub(crate) last_exit: Option<ExitStatus>,
}

pub(crate) struct Job {
    pub(crate) event: Bytes,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// A process.
pub(crate) struct Worker {
    pub(crate) pid: u32,
    pub(crate) started: Instant,
    /// From its start to its first `/next`.
    pub(crate) ready_after: Option<Duration>,
    pub(crate) current: Option<Current>,
    /// When the event it was given has to be done: answered, and the next one asked for.
    pub(crate) deadline: Option<Instant>,
    pub(crate) init_error: Option<String>,
    /// It is being killed and serves no more.
    pub(crate) doomed: bool,
    pub(crate) kill: Arc<Notify>,
    /// Closed when the process is gone.
    pub(crate) gone: watch::Receiver<()>,
}

pub(crate) struct Current {
    request_id: Uuid,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

impl State {
    pub(crate) fn assign(&mut self, id: u64, job: Job, timeout: Duration) -> Option<Delivery> {
        let worker = self.workers.get_mut(&id)?;
        let request_id = clock::new_id();
        worker.current = Some(Current { request_id, reply: job.reply });
        worker.deadline = Some(Instant::now() + timeout);
        Some(Delivery { request_id, event: job.event, deadline_millis: clock::deadline_millis(timeout) })
    }

    pub(crate) fn take_back(&mut self, id: u64, delivery: Delivery) -> Option<Job> {
        let current = self.workers.get_mut(&id)?.current.take()?;
        Some(Job { event: delivery.event, reply: current.reply })
    }

    pub(crate) fn may_start(&self) -> bool {
        !self.stopping && self.not_before.is_none_or(|time| time <= Instant::now())
    }

    pub(crate) fn forget(&mut self, id: u64) -> Option<Worker> {
        self.idle.retain(|(other, _)| *other != id);
        self.workers.remove(&id)
    }
}

impl Worker {
    /// Whether it serves nobody and will ask for an event by itself.
    pub(crate) fn is_coming(&self) -> bool {
        self.current.is_none() && !self.doomed
    }
}

impl Current {
    pub(crate) fn is(&self, request_id: &str) -> bool {
        Uuid::try_parse(request_id).is_ok_and(|id| id == self.request_id)
    }
}
