//! Connections: TLS, how long opening one may take, and when one is used again.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use tokio::net::TcpStream;
use tower_service::Service;

use super::pins::{PinnedVerifier, Pins};
use super::{Repeat, Scheme};

/// A connection idle for longer may have died while the environment was frozen.
const TRUSTED_FOR: Duration = Duration::from_secs(5);
/// More are never open at once: an environment serves one request.
const IDLE_CONNECTIONS: usize = 2;

pub(super) type HttpClient = Client<Connector, Full<Bytes>>;

/// Whom to trust, and the connections that are open to them.
#[derive(Clone)]
pub(crate) struct Transport {
    pooled: HttpClient,
    fresh: HttpClient,
}

impl Transport {
    pub(super) fn new(pins: &Pins, scheme: Scheme, connect_within: Duration) -> Result<Self, rustls::Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new().with_tls_config(trust(pins)?);
        let tls = match scheme {
            Scheme::HttpsOnly => tls.https_only(),
            Scheme::HttpAllowed => tls.https_or_http(),
        };
        let connector = Connector { inner: tls.enable_http1().wrap_connector(tcp), within: connect_within };
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(TRUSTED_FOR);
        let pooled = client.pool_max_idle_per_host(IDLE_CONNECTIONS).build(connector.clone());
        let fresh = client.pool_max_idle_per_host(0).build(connector);
        Ok(Self { pooled, fresh })
    }

    /// A request that must not be done twice never goes out on a connection that was idle: if the other side had
    /// closed it meanwhile, nobody could say whether the request arrived.
    pub(super) fn client(&self, repeat: Repeat) -> &HttpClient {
        match repeat {
            Repeat::Safe => &self.pooled,
            Repeat::Unsafe => &self.fresh,
        }
    }
}

fn trust(pins: &Pins) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    Ok(if pins.is_public() {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        pinned(builder, pins, provider)
    })
}

fn pinned(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>,
    pins: &Pins,
    provider: Arc<CryptoProvider>,
) -> ClientConfig {
    let verifier = Arc::new(PinnedVerifier::new(pins.clone(), provider));
    builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
}

/// Gives up on a connection, TLS included, that takes long to open. Then nothing was sent, which a time limit on
/// the whole could not tell.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    within: Duration,
}

type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.within, self.inner.call(to));
        Box::pin(async move {
            let late = |_| io::Error::new(ErrorKind::TimedOut, "no connection in time");
            connecting.await.map_err(late)?
        })
    }
}
