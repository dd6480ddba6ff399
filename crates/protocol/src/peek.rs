//! What a message is, before it is known what may stand here: two of them come in place of anything.

use crate::body::BodyPart;
use crate::connection::ConnectionError;
use crate::fault::Fault;
use crate::reply::Reply;
use crate::request::Numbered;

/// Whether a message is an abort.
pub(crate) fn is_abort(payload: &[u8]) -> bool {
    matches!(serde_json::from_slice(payload), Ok(Numbered { message: BodyPart::Abort(_), .. }))
}

/// A fault about the connection itself may come in place of anything.
pub(crate) fn refusal_or(payload: &[u8], error: serde_json::Error) -> ConnectionError {
    match connection_fault(payload) {
        Some(fault) => ConnectionError::Refused(fault),
        None => ConnectionError::not_a_message(error.to_string()),
    }
}

/// A fault with id 0: the last message on a connection.
pub(crate) fn connection_fault(payload: &[u8]) -> Option<Fault> {
    match serde_json::from_slice(payload) {
        Ok(Numbered { id: 0, message: Reply::Fault(fault) }) => Some(fault),
        _ => None,
    }
}
