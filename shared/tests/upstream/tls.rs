//! Whom a pinned connection believes, and whom a public one.

use std::sync::Arc;

use anyhow::Context;
use rcgen::{CertificateParams, CertifiedKey, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use shared::crypto::sha256;
use shared::lnd::{Lnd, WalletState};
use shared::upstream::{Pins, code};
use testing::Result;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey as ServerKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};

use crate::ground::{RETRY, upstream_with, verdict};
use crate::server::{Reply, Server};

const STATE: &str = r#"{"state":"SERVER_ACTIVE"}"#;
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A certificate as LND makes its own: signed by itself, and marked as an authority although it is a server's.
fn lnds_own() -> Result<CertifiedKey<KeyPair>> {
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let signing_key = KeyPair::generate()?;
    Ok(CertifiedKey { cert: params.self_signed(&signing_key)?, signing_key })
}

/// Shows what it is given, without asking whether key and certificate belong together.
#[derive(Debug)]
struct Shows(Arc<ServerKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<ServerKey>> {
        Some(Arc::clone(&self.0))
    }
}

async fn server(
    shown: &CertificateDer<'static>,
    key: &KeyPair,
    version: &'static SupportedProtocolVersion,
) -> Result<Server> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let key = provider.key_provider.load_private_key(key)?;
    let resolver = Shows(Arc::new(ServerKey::new(vec![shown.clone()], key)));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    Server::start_tls(TlsAcceptor::from(Arc::new(config)), [Reply::json(200, STATE)]).await
}

fn pinned(server: &Server, pins: &Pins) -> Result<Lnd> {
    // Not in the clear, whatever happens.
    let upstream = upstream_with(&[("ALLOW_HTTP_PROVIDERS", "false")]);
    Lnd::at(&upstream, &server.url, pins).context("not a URL")
}

fn pin(certificate: &CertificateDer<'_>) -> [u8; 32] {
    sha256(certificate)
}

#[tokio::test]
async fn the_pinned_certificate_is_believed_although_it_signs_itself_and_calls_itself_an_authority()
-> Result<()> {
    for version in VERSIONS {
        let own = lnds_own()?;
        let server = server(own.cert.der(), &own.signing_key, version).await?;
        let pins = [[1; 32], pin(own.cert.der())].into_iter().collect();
        assert_eq!(pinned(&server, &pins)?.state().await?, WalletState::ServerActive, "{version:?}");
    }
    Ok(())
}

#[tokio::test]
async fn another_certificate_is_refused() -> Result<()> {
    for version in VERSIONS {
        let (own, other) = (lnds_own()?, lnds_own()?);
        let server = server(own.cert.der(), &own.signing_key, version).await?;
        let outcome = pinned(&server, &Pins(vec![pin(other.cert.der())]))?.state().await;
        assert_eq!(verdict(outcome), (code::LND_CERTIFICATE_REFUSED, RETRY), "{version:?}");
        assert_eq!(server.heard().len(), 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_copy_of_the_pinned_certificate_is_worth_nothing_without_its_key() -> Result<()> {
    for version in VERSIONS {
        let (own, thief) = (lnds_own()?, lnds_own()?);
        let server = server(own.cert.der(), &thief.signing_key, version).await?;
        let error = pinned(&server, &Pins(vec![pin(own.cert.der())]))?.state().await.unwrap_err();
        assert_eq!(
            (error.code, error.failure),
            (code::LND_CERTIFICATE_REFUSED, RETRY),
            "{version:?} {error}"
        );
        assert_eq!(server.heard().len(), 0);
    }
    Ok(())
}

#[tokio::test]
async fn the_public_roots_vouch_for_nobody_who_signs_himself() -> Result<()> {
    let own = lnds_own()?;
    let server = server(own.cert.der(), &own.signing_key, &TLS13).await?;
    let outcome = pinned(&server, &Pins::public())?.state().await;
    assert_eq!(verdict(outcome), (code::LND_CERTIFICATE_REFUSED, RETRY));
    Ok(())
}

#[tokio::test]
async fn pins_of_one_node_are_not_anothers() -> Result<()> {
    let (one, other) = (lnds_own()?, lnds_own()?);
    let at_one = server(one.cert.der(), &one.signing_key, &TLS13).await?;
    let at_other = server(other.cert.der(), &other.signing_key, &TLS13).await?;
    let upstream = upstream_with(&[]);
    let pins = Pins(vec![pin(one.cert.der())]);
    Lnd::at(&upstream, &at_one.url, &pins)?.state().await?;
    let outcome = Lnd::at(&upstream, &at_other.url, &pins)?.state().await;
    assert_eq!(verdict(outcome), (code::LND_CERTIFICATE_REFUSED, RETRY));
    let outcome = Lnd::at(&upstream, &at_one.url, &Pins::public())?.state().await;
    assert_eq!(verdict(outcome), (code::LND_CERTIFICATE_REFUSED, RETRY));
    Ok(())
}
