//! What went wrong, as a line for a person and a code for a script.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use netdisk_client::{ClientError, Item};
use netdisk_protocol::{ConnectionError, FaultCode};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The client library says so.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The same, and which thing it was about.
    #[error("{name}: {error}")]
    About {
        /// The thing, as it was asked for.
        name: String,
        /// What happened.
        error: ClientError,
    },
    /// The command makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Nobody is logged in.
    #[error("{0}")]
    LoginNeeded(String),
    /// The server is not known, or not who it was.
    #[error("{0}")]
    NotTrusted(String),
    /// A local thing is missing.
    #[error("{0}")]
    NotFound(String),
    /// Something stands in the way.
    #[error("{0}")]
    Refused(String),
    /// Content differs where it must not.
    #[error("{0}")]
    Integrity(String),
    /// One of many failed.
    #[error("{text}")]
    OfOne {
        /// What is said.
        text: String,
        /// The exit code, when it is the only one.
        code: u8,
        /// The wire's code, where there is one.
        fault: Option<FaultCode>,
    },
    /// Some of several failed; each has been said.
    #[error("{failed} of {all} failed")]
    SomeFailed {
        /// How many failed.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// The person pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The same, and the connection may be out of step.
    #[error("interrupted")]
    Dropped,
    /// The connection was lost over something that must not be done twice.
    #[error("{0}; whether it was done is not known: look before you repeat it")]
    Unsure(Box<Failure>),
    /// The connection was lost over what is shown as it comes.
    #[error("{0}; some of it has been shown already, so it is not begun anew: repeat it for the whole")]
    CutShort(Box<Failure>),
    /// A line of a script failed.
    #[error("line {line}: {failure}")]
    AtLine {
        /// Which one, from 1.
        line: u64,
        /// Why.
        failure: Box<Failure>,
    },
    /// A job failed; how has been said.
    #[error("job {number} failed")]
    Job {
        /// Which one.
        number: u32,
        /// The exit code of its failure.
        code: u8,
    },
    /// Anything else.
    #[error("{}", chain(.0))]
    Unexpected(anyhow::Error),
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// Standard output cannot be written to.
    pub(crate) fn output(error: io::Error) -> Self {
        Self::Unexpected(anyhow::Error::new(error).context("standard output"))
    }

    pub(crate) fn unexpected(error: impl Into<anyhow::Error>) -> Self {
        Self::Unexpected(error.into())
    }

    /// Names the thing that the failure is about, where the error does not.
    pub(crate) fn about(name: impl Display) -> impl FnOnce(ClientError) -> Self {
        move |error| match error {
            // The server names the path in its text; local errors name the file; the others concern no single thing.
            error @ (ClientError::DigestMismatch | ClientError::Unexpected(_)) => {
                Self::About { name: name.to_string(), error }
            }
            error => Self::Client(error),
        }
    }

    /// One of many that failed: its error belongs to somebody else, its text and its codes are taken over.
    pub(crate) fn of_one(item: Item<'_>, error: &ClientError) -> Self {
        let name = match error {
            // These name the thing themselves.
            ClientError::Fault(_) | ClientError::NotLoggedIn(_) => None,
            ClientError::BadPath { .. } | ClientError::Local { .. } => None,
            ClientError::LocalExists { .. } | ClientError::LocalBusy { .. } | ClientError::Changed { .. } => None,
            _ => Some(item.remote),
        };
        let text = name.map_or_else(|| error.to_string(), |name| format!("{name}: {error}"));
        Self::OfOne { text, code: client_code(error), fault: error.fault_code() }
    }

    /// The exit code, as the README has it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        self.code().into()
    }

    /// The same as a number.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Client(error) | Self::About { error, .. } => client_code(error),
            Self::OfOne { code, .. } => *code,
            Self::Unexpected(_) => 1,
            Self::Usage(_) => 2,
            Self::LoginNeeded(_) => 4,
            Self::NotTrusted(_) => 5,
            Self::NotFound(_) => 6,
            Self::Refused(_) => 7,
            Self::Integrity(_) => 8,
            Self::SomeFailed { .. } => 9,
            Self::Interrupted | Self::Dropped => 130,
            Self::Unsure(failure) | Self::CutShort(failure) | Self::AtLine { failure, .. } => failure.code(),
            Self::Job { code, .. } => *code,
        }
    }

    /// The name of the failure for scripts: the wire's fault code where there is one.
    pub(crate) fn name(&self) -> &'static str {
        let fault = match self {
            Self::Client(error) | Self::About { error, .. } => error.fault_code(),
            Self::OfOne { fault, .. } => *fault,
            Self::AtLine { failure, .. } => return failure.name(),
            _ => None,
        };
        fault.map_or_else(|| exit_name(self.code()), |code| code.name())
    }

    /// Says that nobody knows whether it was done, where that is so: the line broke before the answer came.
    pub(crate) fn unsure(self) -> Self {
        match self {
            Self::Client(ClientError::Connection(ConnectionError::Refused(_))) => self,
            Self::Client(ClientError::Connection(_)) => Self::Unsure(Box::new(self)),
            failure => failure,
        }
    }

    /// Says why something is not begun anew of which some has been shown, where the line broke.
    pub(crate) fn cut_short(error: ClientError) -> Self {
        match error {
            ClientError::Connection(ConnectionError::Refused(_)) => error.into(),
            ClientError::Connection(_) => Self::CutShort(Box::new(error.into())),
            error => error.into(),
        }
    }

    /// Whether the connection is of no use any more.
    pub(crate) fn ends_connection(&self) -> bool {
        match self {
            Self::Client(error) | Self::About { error, .. } => error.ends_connection(),
            Self::Dropped => true,
            Self::Unsure(failure) | Self::CutShort(failure) => failure.ends_connection(),
            _ => false,
        }
    }
}

/// The error and its causes on one line; many an error names its cause itself.
fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text {
        text if text.contains(&cause) => text,
        text if text.is_empty() => cause,
        text => format!("{text}: {cause}"),
    })
}

fn exit_name(code: u8) -> &'static str {
    match code {
        2 => "usage",
        3 => "connection_lost",
        4 => "login_needed",
        5 => "not_trusted",
        6 => "not_found",
        7 => "refused",
        8 => "integrity",
        9 => "some_failed",
        130 => "interrupted",
        _ => "unexpected",
    }
}

fn client_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Unreachable { .. } | ClientError::NotNetdisk { .. } => 3,
        ClientError::Connection(ConnectionError::Refused(fault)) => fault.code.exit_code(),
        ClientError::Fault(fault) | ClientError::NotLoggedIn(fault) => fault.code.exit_code(),
        ClientError::Connection(_) => 3,
        ClientError::NotTrusted { .. } | ClientError::NotVouchedFor { .. } => 5,
        ClientError::Unexpected(_) => 1,
        ClientError::BadPath { .. } => 2,
        ClientError::Local { error, .. } => local_code(error.kind()),
        ClientError::LocalExists { .. } | ClientError::LocalBusy { .. } => 7,
        ClientError::DigestMismatch | ClientError::Changed { .. } => 8,
    }
}

fn local_code(kind: io::ErrorKind) -> u8 {
    match kind {
        io::ErrorKind::NotFound => 6,
        io::ErrorKind::AlreadyExists
        | io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory => 7,
        _ => 1,
    }
}
