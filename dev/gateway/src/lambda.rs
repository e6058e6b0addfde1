//! One function: its queue, its processes, and who serves whom.
//!
//! ```text
//! invoke ──► an idle process, else the queue (and one more process, up to the cap)
//! next   ◄── the queue, else the process waits as idle
//! ```
//!
//! All of it is one [`State`] behind one lock that is never held across an `await`. `process.rs` watches over
//! each process and reports here.

use crate::{
    LogSink,
    failure::{Failure, Outcome},
    process,
    state::{Job, State},
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

/// How long a function that keeps failing to start is left alone, at most.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// What runs, and how.
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) binary: PathBuf,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) memory_mb: u32,
    pub(crate) max_processes: usize,
    pub(crate) queue_limit: usize,
    /// Whether a process that is gone is replaced when one is needed.
    pub(crate) restart: bool,
    pub(crate) runtime_api: SocketAddr,
}

/// An event on its way to a process.
pub(crate) struct Delivery {
    pub(crate) request_id: Uuid,
    pub(crate) event: Bytes,
    pub(crate) deadline_millis: i64,
}

pub(crate) struct Lambda {
    pub(crate) spec: Spec,
    pub(crate) log: LogSink,
    state: Mutex<State>,
}

impl Lambda {
    pub(crate) fn new(spec: Spec, log: LogSink) -> Arc<Self> {
        Arc::new(Self { spec, log, state: Mutex::default() })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn say(&self, line: &str) {
        (self.log)(&self.spec.name, line);
    }

    /// Sends an event to the next free process. A caller who goes away while still in the queue is forgotten.
    pub(crate) async fn invoke(self: &Arc<Self>, event: Bytes) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        self.submit(Job { event, reply })?;
        outcome.await.unwrap_or(Err(Failure::Stopped))
    }

    fn submit(self: &Arc<Self>, mut job: Job) -> Result<(), Failure> {
        let mut state = self.state();
        if state.stopping {
            return Err(Failure::Stopped);
        }
        while let Some((id, waiting)) = state.idle.pop() {
            if state.workers.get(&id).is_none_or(|worker| worker.doomed) {
                continue;
            }
            let Some(delivery) = state.assign(id, job, self.spec.timeout) else { return Ok(()) };
            match waiting.send(delivery) {
                Ok(()) => return Ok(()),
                // Its connection is gone: somebody else's, then.
                Err(delivery) => match state.take_back(id, delivery) {
                    Some(back) => job = back,
                    None => return Ok(()),
                },
            }
        }
        if state.queue.len() >= self.spec.queue_limit {
            state.queue.retain(|job| !job.reply.is_closed());
            if state.queue.len() >= self.spec.queue_limit {
                return Err(Failure::Throttled);
            }
        }
        state.queue.push_back(job);
        self.scale(&mut state);
        Ok(())
    }

    /// `GET …/invocation/next` of a process: `None` when it is none of ours, or is to go.
    pub(crate) async fn next(&self, id: u64) -> Option<Delivery> {
        let waiting = {
            let mut state = self.state();
            let worker = state.workers.get_mut(&id).filter(|worker| !worker.doomed)?;
            worker.deadline = None;
            if let Some(forgotten) = worker.current.take() {
                let _ = forgotten
                    .reply
                    .send(Err(Failure::Died("it asked for an event without answering".into())));
            }
            if worker.ready_after.is_none() {
                let ready_after = worker.started.elapsed();
                worker.ready_after = Some(ready_after);
                (state.failed_starts, state.not_before) = (0, None);
                for waiting in state.waiting_for_ready.drain(..) {
                    let _ = waiting.send(Ok(ready_after));
                }
            }
            while let Some(job) = state.queue.pop_front() {
                if !job.reply.is_closed() {
                    return state.assign(id, job, self.spec.timeout);
                }
            }
            let (sender, waiting) = oneshot::channel();
            state.idle.retain(|(other, _)| *other != id);
            state.idle.push((id, sender));
            waiting
        };
        waiting.await.ok()
    }

    /// The answer of a process to what it was given; `false` when it was not given that.
    pub(crate) fn answer(&self, id: u64, request_id: &str, outcome: Outcome) -> bool {
        let mut state = self.state();
        let Some(worker) = state.workers.get_mut(&id) else { return false };
        let Some(current) = worker.current.take_if(|current| current.is(request_id)) else { return false };
        drop(state);
        let _ = current.reply.send(outcome);
        true
    }

    /// Waits until a process has asked for its first event, starting one if there is none. Says how long it took
    /// to start, or why it did not.
    pub(crate) async fn ready(self: &Arc<Self>) -> Result<Duration, String> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.state();
            if let Some(after) = state.workers.values().find_map(|worker| worker.ready_after) {
                return Ok(after);
            }
            state.waiting_for_ready.push(sender);
            if state.workers.is_empty() && state.may_start() {
                self.start_one(&mut state);
            } else if state.workers.is_empty() {
                return Err(state.last_failure.clone());
            }
        }
        receiver.await.unwrap_or_else(|_| Err("the gateway stopped".to_owned()))
    }

    /// Starts the first process, before anybody needs it.
    pub(crate) fn warm(self: &Arc<Self>) {
        self.start_one(&mut self.state());
    }

    /// Starts processes for who waits; when nothing can be started and nothing runs, tells them so.
    pub(crate) fn scale(self: &Arc<Self>, state: &mut State) {
        // Those that start, and those that have answered and are about to ask again.
        let coming = |state: &State| state.workers.values().filter(|worker| worker.is_coming()).count();
        while coming(state) < state.queue.len()
            && state.workers.len() < self.spec.max_processes
            && state.may_start()
            && (self.spec.restart || state.spawned == 0)
        {
            self.start_one(state);
        }
        if state.workers.is_empty() {
            let failure = Failure::Init(state.last_failure.clone());
            for job in state.queue.drain(..) {
                let _ = job.reply.send(Err(failure.clone()));
            }
        }
    }

    fn start_one(self: &Arc<Self>, state: &mut State) {
        let id = state.spawned;
        state.spawned += 1;
        match process::start(self, id) {
            Ok(worker) => {
                state.workers.insert(id, worker);
            }
            Err(error) => self.failed_to_start(state, &format!("{}: {error}", self.spec.binary.display())),
        }
    }

    /// A process did not reach its first `/next`. Unless there is another one, nobody is left waiting.
    pub(crate) fn failed_to_start(&self, state: &mut State, reason: &str) {
        self.say(&format!("gateway: the function did not start: {reason}"));
        let backoff = FIRST_BACKOFF.saturating_mul(1 << state.failed_starts.min(8)).min(LONGEST_BACKOFF);
        // The first failure may be a passing one, and is tried again at once.
        state.not_before = (state.failed_starts > 0).then(|| Instant::now() + backoff);
        state.failed_starts += 1;
        reason.clone_into(&mut state.last_failure);
        if !state.workers.is_empty() {
            return;
        }
        for waiting in state.waiting_for_ready.drain(..) {
            let _ = waiting.send(Err(reason.to_owned()));
        }
        for job in state.queue.drain(..) {
            let _ = job.reply.send(Err(Failure::Init(reason.to_owned())));
        }
    }

    /// Kills the process that serves, else any, and waits until it is gone.
    pub(crate) async fn kill(&self) -> Option<u32> {
        let (pid, kill, gone) = {
            let mut state = self.state();
            let mut alive: Vec<_> = state.workers.values_mut().filter(|worker| !worker.doomed).collect();
            alive.sort_by_key(|worker| worker.current.is_none());
            let worker = alive.into_iter().next()?;
            worker.doomed = true;
            (worker.pid, Arc::clone(&worker.kill), worker.gone.clone())
        };
        kill.notify_one();
        wait_until_gone(gone).await;
        Some(pid)
    }

    /// Kills everything and takes no more.
    pub(crate) fn begin_stop(&self) -> Vec<watch::Receiver<()>> {
        let mut state = self.state();
        state.stopping = true;
        for job in state.queue.drain(..) {
            let _ = job.reply.send(Err(Failure::Stopped));
        }
        for worker in state.workers.values_mut() {
            worker.doomed = true;
            worker.kill.notify_one();
        }
        state.workers.values().map(|worker| worker.gone.clone()).collect()
    }

    pub(crate) async fn stop(&self) {
        for gone in self.begin_stop() {
            wait_until_gone(gone).await;
        }
    }
}

async fn wait_until_gone(mut gone: watch::Receiver<()>) {
    while gone.changed().await.is_ok() {}
}
