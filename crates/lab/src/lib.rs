//! The framing lab: what TCP's byte stream does to messages, made visible and repeatable, side by side with its cures.
//!
//! Everything runs on loopback and needs no special rights. What is random comes from a seed. Read in this order:
//!
//! - [`stick`]: the fault live on real sockets, then four cures.
//! - [`broken`], [`fixed`]: small wrong and right receivers, each to be read as a lesson; [`mod@bench`] runs them.
//! - [`command`]: the rest of one answer read as the next one.
//! - [`view`]: what was written, what arrived by read, what the decoder cut, step by step.
//! - [`dissect`]: one message as frame, TLS record, TCP segment, IP packet, on a real capture.
//! - [`mangle`], [`proxy`]: loopback made to behave like the worst network, between any client and any server.
//! - [`messenger`]: the small exchange of texts and files that every course begins with.
//! - [`grade`]: somebody's own server or client, held against PROTOCOL.md. [`mini`] is the server that odd things are done with.
//!
//! Under them: [`wire`], a loopback connection whose cuts are decided; [`Random`]; [`Paint`].

pub mod bench;
pub mod broken;
pub mod command;
pub mod dissect;
mod error;
pub mod fixed;
pub mod grade;
pub mod limits;
pub mod mangle;
pub mod messenger;
pub mod mini;
mod paint;
pub mod proxy;
mod random;
pub mod stick;
pub mod view;
pub mod wire;

pub use error::LabError;
pub use paint::Paint;
pub use random::Random;
