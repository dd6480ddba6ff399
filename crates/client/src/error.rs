//! What can go wrong between a client and its server.

use std::io;
use std::path::{Path, PathBuf};

use netdisk_model::{Fingerprint, PathError};
use netdisk_protocol::{ConnectionError, Fault, FaultCode};

use crate::endpoint::Endpoint;

/// Why a request, a transfer or a connection failed.
///
/// ```
/// use netdisk_client::ClientError;
/// use netdisk_protocol::FaultCode;
///
/// assert_eq!(ClientError::DigestMismatch.fault_code(), Some(FaultCode::DigestMismatch));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("{endpoint} cannot be reached: {reason}")]
    Unreachable {
        /// Whom.
        endpoint: Endpoint,
        /// Why.
        reason: String,
    },
    /// Somebody answers, but not as a netdisk server does.
    #[error("{endpoint} answers, but not as a netdisk server: {reason}")]
    NotNetdisk {
        /// Who.
        endpoint: Endpoint,
        /// What is odd.
        reason: String,
    },
    /// The server has another key than the one expected. Nothing was sent to it.
    #[error("{endpoint} has the key {actual}, not {expected}")]
    NotTrusted {
        /// Who.
        endpoint: Endpoint,
        /// The fingerprint that it should have.
        expected: Fingerprint,
        /// The fingerprint that it has.
        actual: Fingerprint,
    },
    /// No authority that this system knows vouches for the server's certificate. Nothing was sent to it.
    #[error("no authority known here vouches for {endpoint}: {reason}")]
    NotVouchedFor {
        /// Who.
        endpoint: Endpoint,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// The connection broke.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The server refused. Its text is untrusted.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The login that went ahead of a request was refused: nothing was done. Its text is untrusted.
    #[error(transparent)]
    NotLoggedIn(Fault),
    /// The server's answer fits no request; it breaks the protocol.
    #[error("the server broke the protocol: {0}")]
    Unexpected(String),
    /// A local name is no good as a remote one.
    #[error("{name}: {error}")]
    BadPath {
        /// The name.
        name: String,
        /// What is wrong with it.
        error: PathError,
    },
    /// A local file could not be read or written.
    #[error("{}: {}", path.display(), plain(error))]
    Local {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// A local file changed while it was sent: what was read of it may be half of one content and half of another.
    #[error("{}: it changed while it was sent", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A local file stands where a download goes.
    #[error("{} exists already", path.display())]
    LocalExists {
        /// The file.
        path: PathBuf,
    },
    /// Another transfer writes to the same part file.
    #[error("{} is being written by another transfer", path.display())]
    LocalBusy {
        /// The part file.
        path: PathBuf,
    },
    /// What arrived does not have the digest that the server named.
    #[error("what arrived is not what the server has: the digests differ")]
    DigestMismatch,
}

/// What the operating system says, without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

impl ClientError {
    /// Whether the connection is of no use any more: it broke, or may be out of step.
    ///
    /// ```
    /// use netdisk_client::ClientError;
    ///
    /// assert!(ClientError::Unexpected("an answer to nothing".to_owned()).ends_connection());
    /// assert!(!ClientError::DigestMismatch.ends_connection());
    /// ```
    pub fn ends_connection(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Unexpected(_) | Self::NotLoggedIn(_))
    }

    /// Names the local file that an IO error concerns.
    pub(crate) fn local(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Local { path: path.to_owned(), error }
    }

    /// Whether the same may succeed on a new connection, or a little later.
    ///
    /// ```
    /// use netdisk_client::ClientError;
    /// use netdisk_protocol::ConnectionError;
    ///
    /// assert!(ClientError::from(ConnectionError::Closed).is_worth_a_retry());
    /// assert!(!ClientError::DigestMismatch.is_worth_a_retry());
    /// ```
    pub fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Connection(ConnectionError::Refused(fault)) => fault.code.is_worth_a_retry(),
            Self::Connection(error) => error.as_fault().is_none_or(|fault| fault.code == FaultCode::TimedOut),
            Self::Fault(fault) | Self::NotLoggedIn(fault) => {
                matches!(fault.code, FaultCode::Busy | FaultCode::ShuttingDown)
            }
            _ => false,
        }
    }

    /// The fault code of this error, where the protocol has one for it.
    ///
    /// ```
    /// use netdisk_client::ClientError;
    /// use netdisk_protocol::{Fault, FaultCode};
    ///
    /// let error = ClientError::from(Fault::new(FaultCode::NotFound, "/a.txt: no such file or directory"));
    /// assert_eq!(error.fault_code(), Some(FaultCode::NotFound));
    /// ```
    pub fn fault_code(&self) -> Option<FaultCode> {
        match self {
            Self::Fault(fault) | Self::NotLoggedIn(fault) | Self::Connection(ConnectionError::Refused(fault)) => {
                Some(fault.code)
            }
            Self::DigestMismatch => Some(FaultCode::DigestMismatch),
            Self::Changed { .. } => Some(FaultCode::Changed),
            Self::BadPath { .. } => Some(FaultCode::BadPath),
            _ => None,
        }
    }
}
