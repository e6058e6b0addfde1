//! The same services over TLS, behind a certificate only its fingerprint vouches for.

use std::sync::Arc;

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64, HEXLOWER};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use sandbox::{Sandbox, lnd::NodeOptions, voltage::DEFAULT_KEY};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::aws_lc_rs::default_provider,
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use crate::client::{call, sandbox};

/// Takes the certificate of this fingerprint, and still wants to see that the server holds its key.
#[derive(Debug)]
struct Pinned([u8; 32], Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if digest(&SHA256, certificate).as_ref() == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("another certificate".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.1.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.1.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.supported_verify_schemes()
    }
}

/// The DER inside of a PEM.
fn der(pem: &str) -> anyhow::Result<Vec<u8>> {
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    Ok(BASE64.decode(base64.as_bytes())?)
}

async fn get(sandbox: &Sandbox, config: ClientConfig, path: &str) -> anyhow::Result<(u16, Value)> {
    let address = sandbox.tls().base_url().trim_start_matches("https://").to_owned();
    let stream = TcpStream::connect(&address).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", address).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    Ok((status, serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?))
}

fn roots(certificate: Vec<u8>) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate))?;
    Ok(roots)
}

fn pinned(sandbox: &Sandbox, fingerprint: [u8; 32]) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(default_provider());
    let any = Arc::new(roots(der(&sandbox.tls().certificate_pem())?)?);
    let web_pki = WebPkiServerVerifier::builder_with_provider(any, Arc::clone(&provider)).build()?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(Pinned(fingerprint, web_pki));
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[tokio::test]
async fn a_node_answers_over_tls_to_whoever_knows_the_fingerprint() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    sandbox.nodes().create("node12", NodeOptions::default())?;
    let fingerprint = sandbox.tls().certificate_sha256();
    let answer = get(&sandbox, pinned(&sandbox, fingerprint)?, "/node12/v1/state").await?;
    assert_eq!(answer, (200, json!({"state": "SERVER_ACTIVE"})));
    assert_eq!(sandbox.nodes().get("node12").map(|node| node.total_calls()), Some(1));
    let mut other = fingerprint;
    other[0] ^= 1;
    assert!(get(&sandbox, pinned(&sandbox, other)?, "/node12/v1/state").await.is_err());
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn as_an_authority_s_the_certificate_is_taken_by_no_ordinary_client() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let roots = roots(der(&sandbox.tls().certificate_pem())?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let error = get(&sandbox, config, "/node12/v1/state").await.expect_err("not trusted");
    assert!(format!("{error:?}").contains("CaUsedAsEndEntity"), "{error:?}");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_renewed_certificate_is_another_one_and_voltage_gives_the_one_in_use() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let settings = json!({
        "alias": "a", "autopilot": false, "color": "#EF820D", "grpc": true, "keysend": true, "rest": true,
        "whitelist": [],
    });
    let body = json!({
        "network": "testnet", "purchased_type": "paid", "type": "standard", "name": "alice", "settings": settings,
    });
    let headers = [("X-VOLTAGE-AUTH", DEFAULT_KEY)];
    let url = |path: &str| format!("{}{path}", sandbox.voltage().url());
    let (_, made) = call("POST", &url("/node/create"), &headers, &body.to_string()).await?;
    let (before, mut given) = (sandbox.tls().certificate_sha256(), Vec::new());
    for renew in [true, false] {
        let ask = json!({"node_id": made["node_id"]}).to_string();
        let (status, cert) = call("POST", &url("/node/cert"), &headers, &ask).await?;
        assert_eq!((status, &cert["node_id"]), (200, &made["node_id"]));
        let pem = BASE64.decode(cert["tls_cert"].as_str().unwrap_or_default().as_bytes())?;
        let pem = String::from_utf8(pem)?;
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{pem}");
        given.push(digest(&SHA256, &der(&pem)?).as_ref().to_vec());
        if renew {
            let control = format!("{}/sandbox/tls", sandbox.base_url());
            let (status, renewed) = call("POST", &control, &[], "").await?;
            assert_eq!(status, 201);
            let after = sandbox.tls().certificate_sha256();
            assert_eq!(renewed["certificate_sha256"], HEXLOWER.encode(&after));
        }
    }
    let after = sandbox.tls().certificate_sha256();
    assert_ne!(before, after);
    assert_eq!(given, [before, after].map(Vec::from));
    let old = get(&sandbox, pinned(&sandbox, before)?, "/sandbox/nodes").await;
    assert!(old.is_err(), "who pinned the old one notices");
    let (status, _) = get(&sandbox, pinned(&sandbox, after)?, "/sandbox/nodes").await.context("renewed")?;
    assert_eq!(status, 200);
    sandbox.stop().await;
    Ok(())
}
