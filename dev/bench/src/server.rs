//! A server in a process of its own, and one kept-alive connection to it at a time.

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
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

/// The last lines of a process.
#[derive(Clone, Default)]
pub struct Said(Arc<Mutex<VecDeque<String>>>);

impl Said {
    pub fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(line.to_owned());
        if lines.len() > KEPT_LINES {
            lines.pop_front();
        }
    }

    pub fn tail(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Ends with this value.
pub struct Server {
    pub pid: u32,
    port: u16,
    said: Said,
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
        let said = Said::default();
        tokio::spawn(listen(lines, said.clone()));
        Ok(Self { pid, port, said, _process: process })
    }

    pub async fn line(&self) -> Result<Line> {
        Line::to(self.port, &self.said).await
    }
}

/// Reads what it writes, as somebody does who keeps its log.
async fn listen(mut lines: Lines<BufReader<ChildStdout>>, said: Said) {
    while let Ok(Some(line)) = lines.next_line().await {
        said.push(&line);
    }
}

/// A connection.
pub struct Line {
    requests: SendRequest<Full<Bytes>>,
    said: Said,
}

/// What came back, and how long after the request was handed over.
pub struct Answered {
    pub status: StatusCode,
    pub body: Bytes,
    pub elapsed: Duration,
}

impl Line {
    /// To a port of this machine, where somebody listens who says such things.
    pub async fn to(port: u16, said: &Said) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { requests, said: said.clone() })
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answered> {
        let begin = Instant::now();
        self.requests.ready().await?;
        let answer = self.requests.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(Answered { status, body, elapsed: begin.elapsed() })
    }

    /// As an error, with what the other end said last.
    pub fn refused(&self, answered: &Answered) -> anyhow::Error {
        let body = String::from_utf8_lossy(&answered.body);
        anyhow::anyhow!("{}: {body}\n{}", answered.status, self.said.tail())
    }
}
