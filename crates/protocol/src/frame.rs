//! The unit on the wire: what a length header stands before.

use bytes::Bytes;

/// First byte of a payload that carries file bytes.
pub(crate) const DATA_MARKER: u8 = 0;
/// First byte of a payload that is a message.
pub(crate) const MESSAGE_MARKER: u8 = b'{';

/// The payload behind one length header. The first byte says which kind it is, so that every frame explains itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Length 0: a sign of life, ignored by the receiver.
    Heartbeat,
    /// `{`: a JSON object, here still as it travelled.
    Message(Bytes),
    /// A zero byte: file bytes, here without that byte.
    Data(Bytes),
}
