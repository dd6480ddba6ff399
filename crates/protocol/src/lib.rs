//! The netdisk wire protocol, version 1, over any byte stream.
//!
//! `PROTOCOL.md` at the root of the repository is the normative text; this crate is it in types. Read in this order:
//!
//! - [`Frame`], [`FrameCodec`]: a 4-byte length and that many bytes, so that messages neither stick nor split.
//! - [`limits`]: how long anything may be, and why.
//! - [`Greeting`], [`Admission`], [`Request`], [`Reply`], [`BodyPart`]: the messages, and [`Numbered`], their envelope.
//! - [`Fault`], [`FaultCode`]: a refusal, which never ends a session.
//! - [`ConnectionError`]: a broken wire, which always does.
//! - [`Connection`]: frames and messages over a stream, each wait under a deadline; [`Incoming`] and [`Outgoing`] are its
//!   halves.
//! - [`send_body`], [`recv_body`]: file content in flight, the same for upload and download on both ends.
//!
//! [`WireObserver`] is for whoever wants to watch, [`without_secrets`] for whoever shows what was seen.
//!
//! There is no socket, no TLS, no file and no account in here.

mod body;
mod claim;
mod codec;
mod connection;
mod fault;
mod frame;
mod gulp;
pub mod limits;
mod observer;
mod peek;
mod reply;
mod request;

pub use body::{BodyPart, Chunk, Sink, Source, Stop, feed_body, recv_body, refuse_body, send_body};
pub use claim::Claim;
pub use codec::FrameCodec;
pub use connection::{Connection, ConnectionError, HEARTBEAT_INTERVAL, Incoming, Outgoing};
pub use fault::{Fault, FaultCode};
pub use frame::Frame;
pub use gulp::Gulp;
pub use observer::{Way, WireObserver, without_secrets};
pub use reply::Reply;
pub use request::{Admission, AnnouncedLimits, BodyStart, Greeting, ID_MAX, Numbered, Proof, REUSE, Request};

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;

/// The feature of a server that sends and takes files in parts ([`netdisk_model::Parts`]).
pub const PARTS: &str = "parts";
