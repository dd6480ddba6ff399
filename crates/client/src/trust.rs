//! Knowing that a server is the right one: by the hash of its public key, or by the word of an authority.
//!
//! The handshake's signature is verified too: without it anybody could replay a certificate that they have seen.

use std::sync::{Arc, Mutex, PoisonError};

use netdisk_model::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

/// The name of the protocol inside TLS (RFC 7301).
pub(crate) const ALPN: &[u8] = b"netdisk/1";

/// How a client knows its server.
///
/// ```
/// use netdisk_client::Trust;
///
/// let fingerprint = format!("sha256:{}", "0a".repeat(32));
/// let trust = Trust::Pinned(fingerprint.parse()?);
/// # Ok::<(), netdisk_model::FingerprintError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// TLS, and the server's key has this fingerprint.
    Pinned(Fingerprint),
    /// TLS, and an authority that this system knows vouches for the certificate and the name.
    System,
    /// No TLS: whoever is on the way reads everything, passwords included. For the lab, loopback and trusted tunnels.
    Plaintext,
}

/// Accepts the key with the expected fingerprint, or, when none is expected, any key; remembers what it saw.
#[derive(Debug)]
pub(crate) struct PinVerifier {
    expected: Option<Fingerprint>,
    seen: Mutex<Option<Fingerprint>>,
    provider: Arc<CryptoProvider>,
}

impl PinVerifier {
    pub(crate) fn new(expected: Option<Fingerprint>) -> Arc<Self> {
        Arc::new(Self { expected, seen: Mutex::default(), provider: provider() })
    }

    /// The fingerprint of the key that the server showed, once the handshake came so far.
    pub(crate) fn seen(&self) -> Option<Fingerprint> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The configuration of a connection that this verifier guards.
    pub(crate) fn client_config(self: &Arc<Self>) -> Result<Arc<rustls::ClientConfig>, Error> {
        let mut config = client_config(self.provider.clone(), self.clone())?;
        // The name plays no part: the key does.
        config.enable_sni = false;
        Ok(Arc::new(config))
    }
}

/// The configuration of a connection whose certificate the system's authorities vouch for.
pub(crate) fn system_config() -> Result<Arc<rustls::ClientConfig>, Error> {
    let verifier = rustls_platform_verifier::Verifier::new(provider())?;
    Ok(Arc::new(client_config(provider(), Arc::new(verifier))?))
}

fn client_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<rustls::ClientConfig, Error> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// AES-128-GCM first, as the server has it.
fn provider() -> Arc<CryptoProvider> {
    use aws_lc_rs::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256};
    let cipher_suites = vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
    Arc::new(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() })
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = webpki::EndEntityCert::try_from(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let shown = Fingerprint::of_public_key(&leaf.subject_public_key_info());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match self.expected {
            Some(expected) if expected != shown => Err(CertificateError::ApplicationVerificationFailure.into()),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
