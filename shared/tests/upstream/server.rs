//! A server that says exactly what it is told to, request by request, and remembers what it heard.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use testing::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What is done with one request.
#[derive(Clone)]
pub enum Reply {
    /// These bytes, and the connection stays open for the next.
    Keep(Vec<u8>),
    /// These bytes, and the connection is closed.
    Close(Vec<u8>),
    /// Nothing, for ever.
    Silence,
}

impl Reply {
    pub fn json(status: u16, body: &str) -> Self {
        Self::with(status, &[], body)
    }

    pub fn with(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers =
            headers.iter().flat_map(|(name, value)| [*name, ": ", *value, "\r\n"]).collect::<String>();
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        Self::Keep(answer.into_bytes())
    }

    /// Promises more than it sends.
    pub fn cut(body: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len() + 1);
        Self::Close((head + body).into_bytes())
    }

    pub fn hang_up() -> Self {
        Self::Close(Vec::new())
    }
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    /// `GET /v1/state`
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(header, _)| header == name);
        found.next().map(|(_, value)| value.as_str()).filter(|_| found.next().is_none())
    }

    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{:?} is no JSON", self.body))
    }
}

pub struct Server {
    pub url: String,
    script: Arc<Script>,
    listener: JoinHandle<()>,
}

struct Script {
    replies: Vec<Reply>,
    heard: Mutex<Vec<Heard>>,
}

impl Server {
    /// The first request gets the first reply; the last reply is everybody's after it.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Result<Self> {
        Self::listen(None, replies).await
    }

    pub async fn start_tls(acceptor: TlsAcceptor, replies: impl IntoIterator<Item = Reply>) -> Result<Self> {
        Self::listen(Some(acceptor), replies).await
    }

    async fn listen(tls: Option<TlsAcceptor>, replies: impl IntoIterator<Item = Reply>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr()?);
        let script = Arc::new(Script { replies: replies.into_iter().collect(), heard: Mutex::default() });
        let told = Arc::clone(&script);
        let listener = tokio::spawn(async move {
            let mut connections = 0;
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(greet(stream, tls.clone(), Arc::clone(&told), connections));
                connections += 1;
            }
        });
        Ok(Self { url, script, listener })
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.script.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn greet(stream: TcpStream, tls: Option<TlsAcceptor>, script: Arc<Script>, connection: usize) {
    match tls {
        None => converse(stream, &script, connection).await,
        Some(tls) => {
            // A client that does not like the certificate is what some tests are about.
            if let Ok(stream) = tls.accept(stream).await {
                converse(stream, &script, connection).await;
            }
        }
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: &Script, connection: usize) {
    while let Some(request) = read(&mut stream, connection).await {
        let reply = {
            let mut heard = script.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push(request);
            script.replies.get(heard.len() - 1).or(script.replies.last()).cloned()
        };
        match reply {
            Some(Reply::Keep(bytes)) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Some(Reply::Close(bytes)) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Some(Reply::Silence) | None => return std::future::pending().await,
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin), connection: usize) -> Option<Heard> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let line = lines.next()?.strip_suffix(" HTTP/1.1")?.to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(Some(0), |(_, length)| length.parse().ok())?];
    stream.read_exact(&mut body).await.ok()?;
    Some(Heard { line, headers, body: String::from_utf8(body).ok()?, connection })
}
