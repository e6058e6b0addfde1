//! What the functions wrote.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gateway::LogSink;
use serde_json::Value;

use crate::client::Answer;

/// Lines arrive a little after the answer.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);

/// Every line of every function, in the order of arrival.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<(String, String)>>>);

impl Log {
    pub(crate) fn sink(&self) -> LogSink {
        let log = self.clone();
        Arc::new(move |function, line| log.locked().push((function.to_owned(), line.to_owned())))
    }

    fn locked(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Function and line.
    pub fn lines(&self) -> Vec<(String, String)> {
        self.locked().clone()
    }

    /// The access lines so far.
    pub fn access_lines(&self) -> Vec<Value> {
        let lines = self.lines();
        let parsed = lines.iter().filter_map(|(_, line)| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line["target"] == "access").collect()
    }

    /// The access line of an answer, for the message of a test that fails.
    pub async fn about(&self, answer: &Answer) -> Option<Value> {
        self.accesses(1).await;
        self.access_lines().into_iter().find(|line| line["request_id"] == answer.request_id())
    }

    /// How many access lines each request has, once there are as many as `expected` and a moment has passed.
    pub async fn accesses(&self, expected: usize) -> BTreeMap<String, usize> {
        let started = Instant::now();
        while self.access_lines().len() < expected && started.elapsed() < ARRIVES_WITHIN {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut counted = BTreeMap::new();
        for line in self.access_lines() {
            let id = line["request_id"].as_str().unwrap_or_default().to_owned();
            *counted.entry(id).or_default() += 1;
        }
        counted
    }
}
