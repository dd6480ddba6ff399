//! TLS for tests that speak the protocol by hand: from both sides, with nothing of ours in it.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::fixture::TestServer;

const ALPN: &[u8] = b"netdisk/1";

/// Does the handshake with a server that made its own certificate.
pub(crate) async fn connect(server: &TestServer) -> TlsStream<TcpStream> {
    let certificate = CertificateDer::from_pem_file(server.data.path().join("identity/cert.pem")).expect("its own");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let stream = TcpStream::connect(server.address).await.expect("connected");
    let name = ServerName::try_from("netdisk").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
}

/// Who does handshakes as a server does, with a certificate of its own.
pub(crate) fn acceptor(alpn: Option<&[u8]>) -> TlsAcceptor {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["netdisk".to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate").der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    config.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
    config.send_tls13_tickets = 0;
    TlsAcceptor::from(Arc::new(config))
}

/// The same for a server of this protocol.
pub(crate) fn netdisk_acceptor() -> TlsAcceptor {
    acceptor(Some(ALPN))
}
