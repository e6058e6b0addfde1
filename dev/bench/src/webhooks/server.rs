//! A server in a process of its own, and one kept-alive connection to it at a time.

use super::events::Delivery;
use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

const READY_WITHIN: Duration = Duration::from_secs(20);
const KEPT_LINES: usize = 12;

/// Ends with this value.
pub struct Server {
    pub pid: u32,
    port: u16,
    said: Arc<Mutex<VecDeque<String>>>,
    _process: Child,
}

impl Server {
    /// A program that says where it listens before anything else.
    pub async fn start(
        program: &Path,
        script: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg(script).envs(environment).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().with_context(|| format!("{} does not run", program.display()))?;
        let pid = process.id().context("the server has ended")?;
        let mut lines = BufReader::new(process.stdout.take().context("no output")?).lines();
        let first = tokio::time::timeout(READY_WITHIN, lines.next_line()).await??;
        let first = first.with_context(|| format!("{} ended at once", script.display()))?;
        let port =
            first.strip_prefix("listening on ").with_context(|| format!("it says {first:?}"))?.parse()?;
        let said = Arc::default();
        tokio::spawn(listen(lines, Arc::clone(&said)));
        Ok(Self { pid, port, said, _process: process })
    }

    pub async fn line(&self, path: &str) -> Result<Line> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let uri = path.to_owned();
        Ok(Line { requests, uri, said: Arc::clone(&self.said) })
    }
}

/// Reads what it writes, as somebody does who keeps its log.
async fn listen(mut lines: Lines<BufReader<ChildStdout>>, said: Arc<Mutex<VecDeque<String>>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_back(line);
        if said.len() > KEPT_LINES {
            said.pop_front();
        }
    }
}

/// A connection.
pub struct Line {
    requests: SendRequest<Full<Bytes>>,
    uri: String,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Line {
    pub async fn send(&mut self, delivery: &Delivery) -> Result<Duration> {
        let request = Request::post(&self.uri)
            .header("host", "api.example.com")
            .header("content-type", "application/json; charset=utf-8")
            .header("stripe-signature", &delivery.signature)
            .body(Full::new(delivery.body.clone()))?;
        let begin = Instant::now();
        self.requests.ready().await?;
        let answer = self.requests.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let elapsed = begin.elapsed();
        ensure!(
            status.is_success(),
            "{status}: {}\n{:?}",
            String::from_utf8_lossy(&body),
            self.said.lock().unwrap_or_else(PoisonError::into_inner)
        );
        Ok(elapsed)
    }
}
