//! The server's identity: a key and a certificate in two PEM files, of its own making or somebody else's.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use netdisk_model::Fingerprint;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Key, certificate and what is made of them. Clones share what was loaded last.
#[derive(Debug, Clone)]
pub struct Identity {
    key_path: PathBuf,
    certificate_path: PathBuf,
    loaded: Arc<RwLock<Loaded>>,
}

#[derive(Debug, Clone)]
struct Loaded {
    fingerprint: Fingerprint,
    config: Arc<rustls::ServerConfig>,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// A file is no PEM file, or holds something else.
    #[error("{}: {error}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: rustls::pki_types::pem::Error,
    },
    /// Others than the server may read the key.
    #[error("{}: others may read this key (mode {mode:o}); `chmod 600` it", path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Making the certificate failed.
    #[error("making a certificate failed: {0}")]
    Make(#[from] rcgen::Error),
    /// Key or certificate cannot be used.
    #[error("key or certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Identity {
    /// Loads the identity in `directory`; at the first start makes it, the key readable to its owner alone.
    ///
    /// # Errors
    /// When the files cannot be read or made, or others may read the key.
    pub fn load_or_make(directory: &Path) -> Result<Self, TlsError> {
        let (key_path, certificate_path) = (directory.join("key.pem"), directory.join("cert.pem"));
        if !at(&key_path, key_path.try_exists())? {
            make(directory, &key_path, &certificate_path)?;
        }
        Self::load(certificate_path, key_path)
    }

    /// Loads an identity that somebody else made: a certificate with its chain, and its key.
    ///
    /// # Errors
    /// When the files cannot be read, do not fit, or others may read the key.
    pub fn load(certificate_path: PathBuf, key_path: PathBuf) -> Result<Self, TlsError> {
        let loaded = Arc::new(RwLock::new(Loaded::read(&certificate_path, &key_path)?));
        Ok(Self { key_path, certificate_path, loaded })
    }

    /// Reads the files again, for connections from now on. Gives whether the key is another.
    ///
    /// # Errors
    /// As [`Identity::load`]; what was loaded before then stays in force.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let new = Loaded::read(&self.certificate_path, &self.key_path)?;
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        let changed = loaded.fingerprint != new.fingerprint;
        *loaded = new;
        Ok(changed)
    }

    /// What clients compare.
    pub fn fingerprint(&self) -> Fingerprint {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).fingerprint
    }

    pub(crate) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).config.clone().into()
    }
}

impl Loaded {
    fn read(certificate_path: &Path, key_path: &Path) -> Result<Self, TlsError> {
        let mode = at(key_path, fs::metadata(key_path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TlsError::Exposed { path: key_path.to_owned(), mode });
        }
        let pem = |path: &Path| {
            let path = path.to_owned();
            move |error| TlsError::Pem { path, error }
        };
        let chain = CertificateDer::pem_file_iter(certificate_path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(pem(certificate_path))?;
        let key = PrivateKeyDer::from_pem_file(key_path).map_err(pem(key_path))?;
        Self::new(chain, key)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let certificate = chain.first().ok_or(rustls::Error::NoCertificatesPresented)?;
        let leaf = webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding))?;
        let fingerprint = Fingerprint::of_public_key(&leaf.subject_public_key_info());
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"netdisk/1".to_vec()];
        // A client that closes with tickets unread makes its kernel send RST, which destroys what is under way.
        config.send_tls13_tickets = 0;
        Ok(Self { fingerprint, config: Arc::new(config) })
    }
}

/// AES-128-GCM first: on processors that have AES it is twice as fast as ChaCha20 and faster than AES-256.
fn provider() -> Arc<CryptoProvider> {
    use aws_lc_rs::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256};
    let cipher_suites = vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
    Arc::new(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() })
}

/// Makes key and certificate. The key comes last: where it stands, the certificate does too.
fn make(directory: &Path, key_path: &Path, certificate_path: &Path) -> Result<(), TlsError> {
    at(directory, DirBuilder::new().recursive(true).mode(0o700).create(directory))?;
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec!["netdisk".to_owned()])?.self_signed(&key)?;
    at(certificate_path, write_private(certificate_path, &certificate.pem()))?;
    at(key_path, write_private(key_path, &key.serialize_pem()))?;
    // The names in the directory, and the directory's own name: a key that is lost locks every client out.
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for made in [directory, parent] {
        at(made, File::open(made).and_then(|made| made.sync_all()))?;
    }
    Ok(())
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let staged = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(staged, path)
}

fn at<T>(path: &Path, outcome: io::Result<T>) -> Result<T, TlsError> {
    outcome.map_err(|error| TlsError::File { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let identity = directory.path().join("identity");
        let made = Identity::load_or_make(&identity).expect("made").fingerprint();
        assert_eq!(Identity::load_or_make(&identity).expect("loaded").fingerprint(), made);
        let mode = |name| fs::metadata(identity.join(name)).expect("a file").permissions().mode() & 0o777;
        assert_eq!((mode("key.pem"), mode("cert.pem")), (0o600, 0o600));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        Identity::load_or_make(directory.path()).expect("made");
        let key = directory.path().join("key.pem");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("changed");
        assert!(matches!(Identity::load_or_make(directory.path()), Err(TlsError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_reload_that_fails_leaves_what_was_in_force() {
        let directory = tempfile::tempdir().expect("a directory");
        let other = tempfile::tempdir().expect("a directory");
        let identity = Identity::load_or_make(directory.path()).expect("made");
        let before = identity.fingerprint();
        Identity::load_or_make(other.path()).expect("made");
        fs::copy(other.path().join("key.pem"), directory.path().join("key.pem")).expect("copied");
        assert!(matches!(identity.reload(), Err(TlsError::Unusable(_))), "this key is not that certificate's");
        assert_eq!(identity.fingerprint(), before);
        fs::copy(other.path().join("cert.pem"), directory.path().join("cert.pem")).expect("copied");
        assert!(identity.reload().expect("they fit again"), "another key");
        assert!(!identity.reload().expect("the same once more"));
        assert_ne!(identity.fingerprint(), before);
    }
}
