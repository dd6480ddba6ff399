//! The netdisk client library: what the program stands on, and what others embed.
//!
//! - [`Endpoint`], [`Trust`], [`dial()`], [`fingerprint_of`]: reaching a server and knowing that it is the right one.
//! - [`Door`]: a server that waits for somebody to register or log in.
//! - [`Client`]: one method for each request. [`ListingTally`]: for whoever holds what a listing brings.
//! - [`put`], [`get`]: the transfer engine, with [`Observer`] for whoever wants to watch.
//! - [`Transfers`]: many files at once, trees too, and [`TransfersObserver`] beside them.
//! - [`Reuse`]: content that the server has already, and copies.
//! - [`Retry`], [`Client::repeat`]: going on after a lost connection.
//! - [`Destination`]: a folder that nothing written through it leaves.
//! - [`ClientError`]: what can go wrong.
//!
//! There is no terminal and no configuration in here.
//!
//! ```no_run
//! use netdisk_client::{Trust, dial};
//! use netdisk_model::{Password, RemotePath};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let trust = Trust::Pinned("sha256:9c1185a5c5e9fc54612808977ee8f548b2258d31a5a6b6e2b5e7c1c1c0b2c1de".parse()?);
//! let door = dial(&"files.example.org".parse()?, &trust).await?;
//! let mut client = door.log_in(&"alice".parse()?, Password::new("correct horse"), false).await?;
//! for entry in client.list(&RemotePath::root(), false).await?.entries {
//!     println!("{} {}", entry.size, entry.path);
//! }
//! client.close().await?;
//! # Ok(())
//! # }
//! ```

mod account;
mod caps;
mod client;
mod destination;
mod dial;
mod door;
mod endpoint;
mod error;
mod exchange;
mod fetch;
mod hashing;
mod large_file;
mod local;
mod login;
mod observer;
mod opening;
mod part_file;
mod parts;
mod redial;
mod rest;
mod retry;
mod reuse;
mod stamp;
mod tap;
mod transfer;
mod transfers;
mod trust;
mod walk;

pub use caps::ListingTally;
pub use client::{Client, Listing};
pub use destination::Destination;
pub use dial::{dial, dial_observed, fingerprint_of, greet_over};
pub use endpoint::{Endpoint, EndpointError};
pub use error::ClientError;
pub use fetch::get;
pub use local::modified_ms;
pub use login::Door;
pub use observer::{Observer, Progress, Unobserved};
pub use retry::Retry;
pub use reuse::Reuse;
pub use transfer::{GetTarget, OnExisting, Outcome, PutSource, put};
pub use transfers::{
    Ask, CONNECTIONS, End, Existing, Filter, GetRoot, Item, LeftOut, PutRoot, Summary, Transfers, TransfersObserver,
    numbered,
};
pub use trust::Trust;
