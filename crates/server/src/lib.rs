//! The native front door of netdisk.
//!
//! ```text
//!   Listener ── accept, permit, spawn ──▶ connection task: TLS ──▶ handshake ──▶ Session::serve
//! ```
//!
//! - [`Server`]: what all connections share, and [`Server::run`], the listener.
//! - [`Identity`]: the server's TLS key and certificate.
//! - [`Registration`]: whether strangers may make accounts.
//! - [`Limits`]: how many connections. [`limits`]: how long and how many, and why.
//!
//! Behind the door stands `netdisk-storage`; this crate opens no file of a user. It knows no terminal and no
//! configuration file.

mod commits;
mod credentials;
mod downloads;
mod gate;
mod handshake;
mod known;
mod limiter;
pub mod limits;
mod listener;
mod listing;
mod parts;
mod refusal;
mod session;
mod small;
mod socket;
mod tls;
mod transfer;

pub use limits::Limits;
pub use listener::{Registration, Server};
pub use tls::{Identity, TlsError};
