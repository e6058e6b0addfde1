//! The listener, and the way of every request: count it, ask the script of faults, do the work.

use std::{convert::Infallible, fmt, net::Ipv4Addr, ops::Deref, sync::Arc, time::Duration};

use anyhow::Context;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    Faults, Handle, Misbehaviour, control, lnd,
    reply::{Reply, ReplyBody},
    secrets_manager,
    world::{World, lock},
};

const MAX_BODY: usize = 1024 * 1024;

/// How long `stop` waits for answers under way. A stalled or blackholed one would never come.
const GRACE: Duration = Duration::from_millis(300);

/// Whom a request was meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// `/sandbox/…`: neither counted nor subject to faults.
    Control,
    SecretsManager,
    /// Every path no other service claims: `/<node>/v1/…`.
    Lnd,
}

impl Service {
    fn of(parts: &Parts) -> Self {
        if secrets_manager::claims(parts) {
            Self::SecretsManager
        } else if control::claims(parts) {
            Self::Control
        } else {
            Self::Lnd
        }
    }

    /// The path as it is counted and as faults match it.
    fn path(self, parts: &Parts) -> String {
        match self {
            Self::SecretsManager => format!("/{}", secrets_manager::operation(parts)),
            Self::Control | Self::Lnd => parts.uri.path().to_owned(),
        }
    }

    fn work(self, world: &Arc<World>, request: &Request<Bytes>) -> Reply {
        match self {
            Self::Control => control::answer(&Handle(Arc::clone(world)), request),
            Self::SecretsManager => secrets_manager::answer(world, request),
            Self::Lnd => lnd::answer(world, request),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct SandboxOptions {
    /// 0 takes a free one.
    pub port: u16,
    pub seed: u64,
}

/// The running sandbox. Dropping it stops it too, only without waiting.
pub struct Sandbox {
    handle: Handle,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
}

impl Sandbox {
    pub async fn start(options: SandboxOptions) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
            .await
            .with_context(|| format!("cannot listen on 127.0.0.1:{}", options.port))?;
        let world = World::new(format!("http://{}", listener.local_addr()?), options.seed);
        let (stop, stopped) = watch::channel(false);
        let listener = tokio::spawn(listen(listener, Arc::clone(&world), stopped));
        Ok(Self { handle: Handle(world), stop, listener })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Takes no further connection, lets answers under way finish for a moment, and closes the rest.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // An error is a panic of the listener: it has stopped then, too.
        let _ = self.listener.await;
    }
}

/// A sandbox is a handle that also owns the server.
impl Deref for Sandbox {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sandbox").field(&self.handle).finish()
    }
}

async fn listen(listener: TcpListener, world: Arc<World>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // An error of the channel means that the `Sandbox` was dropped.
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&world), stopped.clone()));
                }
                // Out of file descriptors, most likely: let some be closed first.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve(stream: TcpStream, world: Arc<World>, mut stopped: watch::Receiver<bool>) {
    // Small answers at once: a client waiting for one would measure Nagle's algorithm.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(Arc::clone(&world), request));
    let mut builder = http1::Builder::new();
    let connection = builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // Its errors are clients that left, and faults that were ordered.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct HangUp;

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sandbox hung up, as ordered")
    }
}

impl std::error::Error for HangUp {}

async fn respond(world: Arc<World>, request: Request<Incoming>) -> Result<Response<ReplyBody>, HangUp> {
    let (parts, body) = request.into_parts();
    let service = Service::of(&parts);
    let path = service.path(&parts);
    if service != Service::Control {
        lock(&world.counts).call(service, parts.method.as_str(), &path);
    }
    if service == Service::Lnd && lnd::is_blackholed(&world, &path) {
        match std::future::pending::<Infallible>().await {}
    }
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else { return Err(HangUp) };
    let fault = match service {
        Service::Control => None,
        _ => Faults(Arc::clone(&world)).draw(service, parts.method.as_str(), &path),
    };
    let request = Request::from_parts(parts, body.to_bytes());
    let work = || service.work(&world, &request);
    match fault {
        None => Ok(work().whole()),
        Some(misbehaviour) => misbehave(misbehaviour, work).await,
    }
}

async fn misbehave(how: Misbehaviour, work: impl Fn() -> Reply) -> Result<Response<ReplyBody>, HangUp> {
    match how {
        Misbehaviour::FailBefore { status, body } => Ok(Reply::text(status, body).whole()),
        Misbehaviour::FailAfter { status, body } => {
            work();
            Ok(Reply::text(status, body).whole())
        }
        Misbehaviour::Stall { millis } => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(work().whole())
        }
        Misbehaviour::CutBody { bytes } => Ok(work().cut(bytes)),
        Misbehaviour::Garbage => {
            let content_type = work().content_type;
            let body = Bytes::from_static(b"\x00\xff<html>{\"half\": \xc3");
            Ok(Reply { status: hyper::StatusCode::OK, content_type, body }.whole())
        }
        Misbehaviour::Duplicate => {
            work();
            Ok(work().whole())
        }
        Misbehaviour::CloseBefore => Err(HangUp),
        Misbehaviour::CloseAfter => {
            work();
            Err(HangUp)
        }
    }
}
