use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DbError;
use crate::clock::Clock;
use crate::crypto::Secret;
use crate::secrets::SecretHandle;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection idle for longer is asked whether it lives: a frozen environment holds sockets that died
/// while it slept.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The secret document `satchel/database/<role>`, in the form RDS itself keeps.
#[derive(Deserialize)]
pub struct Credentials {
    host: String,
    port: u16,
    dbname: String,
    username: String,
    password: Secret<String>,
    sslmode: Option<String>,
    /// Certificates to trust beside the system's, such as the region's RDS bundle.
    ca_pem: Option<String>,
}

/// Where a role's database is and how to enter it.
pub struct Database {
    config: tokio_postgres::Config,
    tls: Option<MakeRustlsConnect>,
}

impl TryFrom<Credentials> for Database {
    type Error = &'static str;

    fn try_from(document: Credentials) -> Result<Self, Self::Error> {
        let loopback = document.host == "localhost"
            || document.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let encrypted = match document.sslmode.as_deref() {
            None | Some("require" | "verify-full") => true,
            Some("disable") if loopback => false,
            Some("disable") => return Err("turns TLS off for a host that is not this machine"),
            Some(_) => return Err("has an sslmode other than require, verify-full or disable"),
        };
        let mut config = tokio_postgres::Config::new();
        config
            .host(&document.host)
            .port(document.port)
            .dbname(&document.dbname)
            .user(&document.username)
            .password(document.password.expose())
            .application_name("satchel")
            .connect_timeout(CONNECT_TIMEOUT)
            .ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        let tls = if encrypted { Some(trust(document.ca_pem.as_deref())?) } else { None };
        Ok(Self { config, tls })
    }
}

fn trust(ca_pem: Option<&str>) -> Result<MakeRustlsConnect, &'static str> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(ca_pem) = ca_pem {
        let unusable = "has a ca_pem that holds no usable certificate";
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            let certificate = certificate.map_err(|_| "has a ca_pem that is not PEM")?;
            roots.add(certificate).map_err(|_| unusable)?;
        }
        if roots.len() == before {
            return Err(unusable);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| "cannot be used: this build has no TLS version to offer")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

impl Database {
    /// Opens one connection, which is driven in the background until its client is dropped.
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await?;
            tokio::spawn(connection);
            Ok(client)
        } else {
            let (client, connection) = self.config.connect(NoTls).await?;
            tokio::spawn(connection);
            Ok(client)
        }
    }
}

pub(super) struct Connector {
    database: SecretHandle<Database>,
    clock: Clock,
}

pub(super) struct Pooled {
    pub(super) client: Client,
    used_at: OffsetDateTime,
}

impl Connector {
    pub(super) fn new(database: SecretHandle<Database>, clock: Clock) -> Self {
        Self { database, clock }
    }

    async fn connect(&self) -> Result<Client, DbError> {
        let kept = self.database.get().await.map_err(DbError::unavailable)?;
        match kept.connect().await {
            Err(error) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                // The password was rotated under us: the document of this moment has the new one.
                let fresh = self.database.get_fresh().await.map_err(DbError::unavailable)?;
                fresh.connect().await.map_err(DbError::unavailable)
            }
            other => other.map_err(DbError::unavailable),
        }
    }
}

impl Manager for Connector {
    type Type = Pooled;
    type Error = DbError;

    async fn create(&self) -> Result<Pooled, DbError> {
        // Without its name, because the futures below nest deeper than the compiler looks.
        let connecting: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(self.connect());
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let client = connected.map_err(|_| DbError::unavailable("connecting took too long"))??;
        Ok(Pooled { client, used_at: self.clock.now() })
    }

    async fn recycle(&self, pooled: &mut Pooled, _: &Metrics) -> RecycleResult<DbError> {
        if pooled.client.is_closed() {
            return Err(RecycleError::message("the connection is closed"));
        }
        let now = self.clock.now();
        if now - pooled.used_at > TRUSTED_FOR {
            match tokio::time::timeout(ANSWER_TIMEOUT, pooled.client.simple_query("")).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(RecycleError::Backend(error.into())),
                Err(_) => return Err(RecycleError::message("the connection does not answer")),
            }
        }
        pooled.used_at = now;
        Ok(())
    }
}
