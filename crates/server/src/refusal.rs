//! How storage's neutral errors become faults: the one place of this door that knows both.
//!
//! What the peer is told and what is logged are two texts.

use std::fmt::Display;

use netdisk_model::{PathError, RemotePath, UserNameError};
use netdisk_protocol::{Fault, FaultCode};
use netdisk_storage::{AccountsError, StorageError};

/// What the peer is told when something at `path` could not be done.
pub(crate) fn of_storage(path: &RemotePath, error: &StorageError) -> Fault {
    use StorageError as E;
    let code = match error {
        E::NotFound | E::NoUpload => FaultCode::NotFound,
        E::Exists => FaultCode::Exists,
        E::NotEmpty => FaultCode::NotEmpty,
        E::NotADirectory => FaultCode::NotADirectory,
        E::NotAFile => FaultCode::NotAFile,
        E::IsRoot | E::IntoItself => FaultCode::BadPath,
        E::QuotaExceeded { .. } => FaultCode::QuotaExceeded,
        E::Full { .. } => FaultCode::Full,
        E::UnderWay | E::TooFarAhead => FaultCode::Busy,
        E::SizeMismatch { .. } | E::NotInParts => FaultCode::SizeMismatch,
        E::DigestMismatch => FaultCode::DigestMismatch,
        E::Corrupt => FaultCode::Corrupt,
        E::Changed => FaultCode::Changed,
        E::Database(_) | E::Io(_) => return internal(&format_args!("{path:?}: {error}")),
    };
    Fault::new(code, format!("{path}: {error}"))
}

/// The same for something that was to be made at `path`: what is missing is then the directory that it would stand in.
pub(crate) fn of_creation(path: &RemotePath, error: &StorageError) -> Fault {
    match (error, path.parent()) {
        (StorageError::NotFound, Some(parent)) => of_storage(&parent, error),
        _ => of_storage(path, error),
    }
}

/// What somebody who was not let in is told.
pub(crate) fn of_accounts(error: &AccountsError) -> Fault {
    let code = match error {
        AccountsError::NameTaken => FaultCode::NameTaken,
        AccountsError::BadPassword(_) => FaultCode::BadPassword,
        AccountsError::NotInvited => FaultCode::RegistrationClosed,
        AccountsError::Refused => FaultCode::LoginRefused,
        AccountsError::Occupied(_)
        | AccountsError::NoSuchAccount
        | AccountsError::InUse(_)
        | AccountsError::Storage(_)
        | AccountsError::Database(_) => return internal(error),
    };
    Fault::new(code, error.to_string())
}

pub(crate) fn of_path(error: PathError) -> Fault {
    Fault::new(FaultCode::BadPath, error.to_string())
}

pub(crate) fn of_user_name(error: UserNameError) -> Fault {
    Fault::new(FaultCode::BadName, error.to_string())
}

/// Logs what happened and tells the peer only that something did.
pub(crate) fn internal(error: &dyn Display) -> Fault {
    tracing::error!(%error, "internal failure");
    Fault::new(FaultCode::Internal, FaultCode::Internal.meaning())
}
