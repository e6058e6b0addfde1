//! [`RuntimeApi`]: one binary, driven directly. What tests and benchmarks use.

use crate::{
    LogSink,
    lambda::{Lambda, Spec},
    runtime_api::{self, Lambdas},
    server::{self, Running},
};
use anyhow::{Context, bail};
use bytes::Bytes;
use data_encoding::BASE64;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::sleep;

const MEMORY_MB: u32 = 256;

/// One process of a function and the Runtime API it speaks to. It is not restarted; dropping this kills it.
pub struct RuntimeApi {
    lambda: Arc<Lambda>,
    lines: Lines,
    started_after: Duration,
    pid: u32,
    _server: Running,
}

/// What came of an event.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What the function answered; its error, when `is_error`.
    pub payload: Bytes,
    /// From handing over the event to having the answer.
    pub elapsed: Duration,
    /// It failed, died, or was out of time.
    pub is_error: bool,
}

/// How a process ended that did not get as far as asking for an event.
#[derive(Clone, Debug)]
pub struct Exit {
    pub status: ExitStatus,
    /// What it wrote, to both streams.
    pub lines: Vec<String>,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl RuntimeApi {
    /// Starts a binary with this environment, and Lambda's, and waits until it asks for an event. An event may
    /// take 30 seconds.
    pub async fn start(
        binary: impl AsRef<Path>,
        environment: &BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        Self::start_with_deadline(binary, environment, Duration::from_secs(30)).await
    }

    /// [`RuntimeApi::start`], with the time an event may take.
    pub async fn start_with_deadline(
        binary: impl AsRef<Path>,
        environment: &BTreeMap<String, String>,
        deadline: Duration,
    ) -> anyhow::Result<Self> {
        let (lambda, lines, server) = prepare(binary.as_ref(), environment, deadline).await?;
        let started_after = match lambda.ready().await {
            Ok(after) => after,
            Err(reason) => {
                let lines = read(&lines).join("\n");
                bail!("{} did not start: {reason}\n{lines}", binary.as_ref().display());
            }
        };
        let pid =
            lambda.state().workers.values().map(|worker| worker.pid).next().context("it ended at once")?;
        Ok(Self { lambda, lines, started_after, pid, _server: server })
    }

    /// For a binary that is to refuse to start: how it ended. An error when it asks for an event instead, or is
    /// still there when the time is up.
    pub async fn expect_exit(
        binary: impl AsRef<Path>,
        environment: &BTreeMap<String, String>,
        limit: Duration,
    ) -> anyhow::Result<Exit> {
        let (lambda, lines, _server) = prepare(binary.as_ref(), environment, limit).await?;
        let outcome = tokio::time::timeout(limit, lambda.ready()).await;
        lambda.stop().await;
        match outcome {
            Ok(Ok(_)) => bail!("it started: it asked for an event"),
            Err(_) => bail!("it neither ended nor asked for an event within {limit:?}"),
            Ok(Err(reason)) => {
                let status = lambda.state().last_exit.with_context(|| reason)?;
                Ok(Exit { status, lines: read(&lines).clone() })
            }
        }
    }

    /// Sends an event and waits for what comes of it.
    pub async fn invoke(&self, event: &Value) -> anyhow::Result<Invocation> {
        Ok(self.invoke_raw(serde_json::to_vec(event)?).await)
    }

    /// [`RuntimeApi::invoke`], with an event that need not be JSON.
    pub async fn invoke_raw(&self, event: impl Into<Bytes>) -> Invocation {
        let start = Instant::now();
        let outcome = self.lambda.invoke(event.into()).await;
        let elapsed = start.elapsed();
        let is_error = outcome.is_err();
        Invocation { payload: outcome.unwrap_or_else(|failure| failure.payload()), elapsed, is_error }
    }

    /// Every line it wrote so far, to both streams.
    pub fn logs(&self) -> Vec<String> {
        read(&self.lines).clone()
    }

    /// Waits for a line that holds this text; lines arrive a little after the answer.
    pub async fn wait_for_log(&self, text: &str, limit: Duration) -> anyhow::Result<String> {
        let start = Instant::now();
        loop {
            if let Some(line) = read(&self.lines).iter().find(|line| line.contains(text)) {
                return Ok(line.clone());
            }
            if start.elapsed() > limit {
                let mut message = format!("no line holds {text:?}; there are:");
                read(&self.lines).iter().try_for_each(|line| write!(message, "\n{line}"))?;
                bail!(message);
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// From its start to its first `/next`.
    pub fn started_after(&self) -> Duration {
        self.started_after
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, when it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.lambda.state().last_exit
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub async fn kill(&self) {
        self.lambda.kill().await;
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.lambda.begin_stop();
    }
}

impl Invocation {
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.payload).with_context(|| format!("not JSON: {:?}", self.payload))
    }

    /// The `statusCode` of an HTTP answer.
    pub fn status(&self) -> Option<u16> {
        self.json().ok()?["statusCode"].as_u64()?.try_into().ok()
    }

    /// The decoded `body` of an HTTP answer.
    pub fn body(&self) -> anyhow::Result<Vec<u8>> {
        let payload = self.json()?;
        let body = payload["body"].as_str().unwrap_or_default();
        if payload["isBase64Encoded"] == true { Ok(BASE64.decode(body.as_bytes())?) } else { Ok(body.into()) }
    }

    /// A header of an HTTP answer, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<String> {
        let payload = self.json().ok()?;
        let single = &payload["headers"][name];
        let multiple = &payload["multiValueHeaders"][name][0];
        single.as_str().or_else(|| multiple.as_str()).map(str::to_owned)
    }
}

async fn prepare(
    binary: &Path,
    environment: &BTreeMap<String, String>,
    deadline: Duration,
) -> anyhow::Result<(Arc<Lambda>, Lines, Running)> {
    let (listener, runtime_api) = server::listen(0).await?;
    let name =
        binary.file_stem().and_then(|name| name.to_str()).context("the binary has no name")?.to_owned();
    let lines = Lines::default();
    let spec = Spec {
        name: name.clone(),
        binary: binary.to_owned(),
        environment: environment.clone(),
        timeout: deadline,
        memory_mb: MEMORY_MB,
        max_processes: 1,
        queue_limit: usize::MAX,
        restart: false,
        runtime_api,
    };
    let sink = Arc::clone(&lines);
    let log: LogSink = Arc::new(move |_, line| read(&sink).push(line.to_owned()));
    let lambda = Lambda::new(spec, log);
    let lambdas = Lambdas::from([(name, Arc::clone(&lambda))]);
    Ok((lambda, lines, runtime_api::serve(listener, Arc::new(lambdas))))
}

fn read(lines: &Lines) -> MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
