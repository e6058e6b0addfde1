//! The listener, and the way of every request: count it, ask the script of faults, do the work.

use std::{convert::Infallible, fmt, net::Ipv4Addr, ops::Deref, sync::Arc, time::Duration};

use anyhow::Context;
use http_body_util::{BodyExt, Limited};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Faults, Handle, Service,
    fault::Job,
    lnd::{self, TlsState},
    reply::{HangUp, ReplyBody},
    world::{World, lock},
};

const MAX_BODY: usize = 1024 * 1024;

/// How long `stop` waits for answers under way. A stalled or blackholed one would never come.
const GRACE: Duration = Duration::from_millis(300);

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
        let (stop, stopped) = watch::channel(false);
        let (tls_listener, tls) = TlsState::bind().await?;
        let acceptor = tls.acceptor()?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let world = World::new(base_url, tls, options.seed, stopped.clone())?;
        let plain = listen(listener, None, Arc::clone(&world), stopped.clone());
        let secure = listen(tls_listener, Some(acceptor), Arc::clone(&world), stopped);
        let listener = tokio::spawn(async {
            tokio::join!(plain, secure);
        });
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

async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    world: Arc<World>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // An error of the channel means that the `Sandbox` was dropped.
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let counted = Counted::new(&world);
                    connections.spawn(accept(stream, tls.clone(), counted, stopped.clone()));
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

/// A connection that is open for as long as this lives.
struct Counted(Arc<World>);

impl Counted {
    fn new(world: &Arc<World>) -> Self {
        lock(&world.counts).opened();
        Self(Arc::clone(world))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        lock(&self.0.counts).closed();
    }
}

async fn accept(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    counted: Counted,
    mut stopped: watch::Receiver<bool>,
) {
    // Small answers at once: a client waiting for one would measure Nagle's algorithm.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve(stream, counted, stopped).await };
    // A client that does not like the certificate goes away, and that is its answer.
    let stream = tokio::select! {
        shaken = tls.accept(stream) => shaken,
        _ = stopped.changed() => return,
    };
    if let Ok(stream) = stream {
        serve(stream, counted, stopped).await;
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    counted: Counted,
    mut stopped: watch::Receiver<bool>,
) {
    let service = service_fn(|request| respond(Arc::clone(&counted.0), request));
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

async fn respond(world: Arc<World>, request: Request<Incoming>) -> Result<Response<ReplyBody>, HangUp> {
    let (parts, body) = request.into_parts();
    let service = Service::of(&parts);
    let (method, path) = (parts.method.to_string(), service.path(&parts));
    let count = match service {
        Service::Control => 0,
        _ => lock(&world.counts).call(service, &method, &path),
    };
    if service == Service::Lnd && lnd::is_blackholed(&world, &path) {
        match std::future::pending::<Infallible>().await {}
    }
    let faults = Faults(Arc::clone(&world));
    if faults.is_away(service) {
        return Err(HangUp);
    }
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else { return Err(HangUp) };
    let fault = match service {
        Service::Control => None,
        _ => faults.draw(service, &method, &path, count),
    };
    let job = Job { world, service, path, request: Request::from_parts(parts, body.to_bytes()) };
    match fault {
        None => Ok(job.work().whole()),
        Some(misbehaviour) => misbehaviour.strike(job).await,
    }
}
