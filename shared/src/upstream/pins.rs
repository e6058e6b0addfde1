//! Trust in exactly these certificates.
//!
//! LND signs its own certificate and marks it as an authority, so no root store can hold it: as a root it would be
//! refused for being used as an end entity. It is known by its SHA-256 instead, as BTCPay's `certthumbprint` does.
//! Name and validity say nothing then and are not looked at; possession of the key is still proven by the handshake.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::crypto::sha256;

/// SHA-256 of certificates in DER. None at all means the public roots, as browsers trust them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(pub Vec<[u8; 32]>);

impl Pins {
    /// Whoever the public roots vouch for.
    pub fn public() -> Self {
        Self::default()
    }

    pub fn is_public(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<[u8; 32]> for Pins {
    fn from_iter<I: IntoIterator<Item = [u8; 32]>>(pins: I) -> Self {
        Self(pins.into_iter().collect())
    }
}

/// Accepts the pinned certificates and no others.
#[derive(Debug)]
pub(super) struct PinnedVerifier {
    pins: Pins,
    provider: Arc<CryptoProvider>,
}

impl PinnedVerifier {
    pub(super) fn new(pins: Pins, provider: Arc<CryptoProvider>) -> Self {
        Self { pins, provider }
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let digest = sha256(end_entity);
        // Every pin is compared, and each in constant time.
        let matches = self.pins.0.iter().filter(|pin| verify_slices_are_equal(*pin, &digest).is_ok()).count();
        if matches == 0 {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(ServerCertVerified::assertion())
    }

    // The certificate is public: without these anybody could show a copy of it.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
