//! One process of a function: started with Lambda's environment, watched until it is gone.

use crate::{ACCOUNT, REGION, failure::Failure, lambda::Lambda, state::Worker};
use std::{
    collections::VecDeque,
    io,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

/// What Lambda allows a function for reaching its first `/next`.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// What a process wrote to its socket or its pipes just before it died is still read.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// How many of its last lines explain a failed start.
const TAIL: usize = 5;

type Tail = Arc<Mutex<VecDeque<String>>>;

/// Everything a process must not outlive, in one place.
struct Watched {
    lambda: Arc<Lambda>,
    id: u64,
    child: Child,
    output: [JoinHandle<()>; 2],
    tail: Tail,
    kill: Arc<Notify>,
    /// Dropped last: who waits for the end sees the channel close.
    _gone: watch::Sender<()>,
}

pub(crate) fn start(lambda: &Arc<Lambda>, id: u64) -> io::Result<Worker> {
    let started = Instant::now();
    let mut child = command(lambda, id).spawn()?;
    let tail = Tail::default();
    let output = [pump(lambda, &tail, child.stdout.take()), pump(lambda, &tail, child.stderr.take())];
    let (kill, (sender, gone)) = (Arc::new(Notify::new()), watch::channel(()));
    let worker = Worker {
        pid: child.id().unwrap_or_default(),
        started,
        ready_after: None,
        current: None,
        init_error: None,
        deadline: None,
        doomed: false,
        kill: Arc::clone(&kill),
        gone,
    };
    let watched = Watched { lambda: Arc::clone(lambda), id, child, output, tail, kill, _gone: sender };
    tokio::spawn(watched.watch());
    Ok(worker)
}

/// Nothing of our own environment reaches the function but `PATH`.
fn command(lambda: &Lambda, id: u64) -> Command {
    let spec = &lambda.spec;
    let name = spec.name.as_str();
    let mut command = Command::new(&spec.binary);
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("TZ", ":UTC")
        .envs(&spec.environment)
        .env("_HANDLER", "bootstrap")
        .env("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023")
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory_mb.to_string())
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("local/[$LATEST]{id}"))
        // With a path, the runtime takes it only as a whole address.
        .env("AWS_LAMBDA_RUNTIME_API", format!("http://{}/{name}/{id}", spec.runtime_api))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        // Ctrl-C at the terminal is the gateway's to hear; it then ends its processes in order.
        .process_group(0);
    command
}

/// The same to every process of the function.
pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// Hands each line to the log, and remembers the last few.
fn pump(
    lambda: &Arc<Lambda>,
    tail: &Tail,
    from: Option<impl AsyncRead + Unpin + Send + 'static>,
) -> JoinHandle<()> {
    let (lambda, tail) = (Arc::clone(lambda), Arc::clone(tail));
    tokio::spawn(async move {
        let Some(from) = from else { return };
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            lambda.say(text);
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.push_back(text.to_owned());
            if tail.len() > TAIL {
                tail.pop_front();
            }
            line.clear();
        }
    })
}

impl Watched {
    async fn watch(mut self) {
        let mut wake = Instant::now();
        let status = loop {
            tokio::select! {
                status = self.child.wait() => break status,
                () = self.kill.notified() => break self.end().await,
                () = sleep_until(wake) => match self.next_check() {
                    Some(next) => wake = next,
                    None => break self.end().await,
                },
            }
        };
        self.has_ended(status).await;
    }

    async fn end(&mut self) -> io::Result<ExitStatus> {
        self.child.start_kill()?;
        self.child.wait().await
    }

    /// When to look again; `None` when its time is up. No event handed out from now on is due before `timeout`
    /// has passed, so a busy process need not wake its watcher for each of them.
    fn next_check(&self) -> Option<Instant> {
        let (now, timeout) = (Instant::now(), self.lambda.spec.timeout);
        let mut state = self.lambda.state();
        let worker = state.workers.get_mut(&self.id)?;
        if worker.ready_after.is_none() {
            let limit = worker.started + INIT_LIMIT;
            if now < limit {
                return Some(limit.min(now + timeout));
            }
            worker.init_error.get_or_insert_with(|| format!("no event was asked for within {INIT_LIMIT:?}"));
        } else {
            match worker.deadline {
                Some(deadline) if deadline > now => return Some(deadline),
                None => return Some(now + timeout),
                Some(_) => {}
            }
            if let Some(late) = worker.current.take() {
                let _ = late.reply.send(Err(Failure::TimedOut(timeout)));
            }
            self.lambda
                .say(&format!("gateway: not done within {timeout:?}, process {} is killed", worker.pid));
        }
        worker.doomed = true;
        None
    }

    async fn has_ended(mut self, status: io::Result<ExitStatus>) {
        let exit = status.as_ref().ok().copied();
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let _ = timeout(LAST_WORDS, async {
            for output in &mut self.output {
                let _ = output.await;
            }
        })
        .await;
        if self.lambda.state().workers.get(&self.id).is_some_and(|worker| worker.current.is_some()) {
            sleep(LAST_WORDS).await;
        }
        let mut state = self.lambda.state();
        let Some(worker) = state.forget(self.id) else { return };
        state.last_exit = exit;
        if state.stopping {
            return;
        }
        if worker.ready_after.is_none() {
            let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            let tail = tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n  ");
            let reason =
                worker.init_error.unwrap_or_else(|| format!("{how} before its first event\n  {tail}"));
            self.lambda.failed_to_start(&mut state, &reason);
        } else {
            self.lambda.say(&format!("gateway: process {} ended: {how}", worker.pid));
        }
        if let Some(current) = worker.current {
            let _ = current.reply.send(Err(Failure::Died(how)));
        }
        self.lambda.scale(&mut state);
    }
}
