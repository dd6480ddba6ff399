//! Content that the server has already: a file is hashed before it is sent, where there is reason to, and nothing travels.
//!
//! ```text
//!   upload ──▶ ready, and no file of this size ─────────────────────────────▶ body
//!          └─▶ ready, known ── abort ── hash ── reuse ──▶ not found ── upload ──▶ body
//!                                                    └──▶ stored
//! ```
//!
//! The reason comes with the answer that is waited for anyway, so a file that nothing on the server is like costs neither a
//! round trip nor a hash; before an upload in parts it is asked for, which costs the round trip. Whatever comes of the question but `stored`, the file is sent as any other.

use netdisk_model::Digest;
use netdisk_protocol::{BodyPart, Fault, FaultCode, Numbered, Reply, Request};
use tokio_util::sync::CancellationToken;

use crate::client::{Client, unexpected};
use crate::door::run_blocking;
use crate::error::ClientError;
use crate::exchange::{Begun, Stored};
use crate::hashing::{Hashing, PIECE_LEN};
use crate::local::SkippingSource;
use crate::observer::{Observer, Progress};
use crate::parts::Announced;

/// What came of storing a file.
pub(crate) struct Put {
    pub(crate) stored: Stored,
    /// Whether nothing of it travelled.
    pub(crate) reused: bool,
}

impl Client {
    /// Says whether [`crate::put`] and [`crate::Transfers`] may have the server copy content that it has, where it can. They
    /// do, unless this is told otherwise.
    ///
    /// ```no_run
    /// # fn example(client: &mut netdisk_client::Client) {
    /// // Every byte is to travel.
    /// client.set_reuse(netdisk_client::Reuse::Never);
    /// # }
    /// ```
    pub fn set_reuse(&mut self, reuse: Reuse) {
        self.reuse = reuse;
    }

    /// One attempt to store a file, by its content or by having it copied.
    pub(crate) async fn store(
        &mut self,
        request: Request,
        announced: Announced,
        source: &mut dyn SkippingSource,
        observer: &dyn Observer,
        cancel: &CancellationToken,
    ) -> Result<Put, ClientError> {
        let mut begun = self.begin_upload(request.clone(), source).await?;
        if begun.known && begun.offset == 0 && self.reuse == Reuse::WherePossible {
            if let Some(stored) = Box::pin(self.reuse(begun, &request, announced, observer, cancel)).await? {
                return Ok(Put { stored, reused: true });
            }
            begun = self.begin_upload(request, source).await?;
        }
        Ok(Put { stored: self.send_upload(begun, source, cancel).await?, reused: false })
    }

    /// Gives up an upload that has begun and has the server copy the content; `None` where it has to be sent.
    async fn reuse(
        &mut self,
        begun: Begun,
        upload: &Request,
        announced: Announced,
        observer: &dyn Observer,
        cancel: &CancellationToken,
    ) -> Result<Option<Stored>, ClientError> {
        let abort = BodyPart::Abort(Fault::new(FaultCode::Cancelled, FaultCode::Cancelled.meaning()));
        self.connection.send(&Numbered::new(begun.id, abort)).await?;
        let size = announced.stamp.size;
        // Boxed, as what is handed on: a future that is an argument lies in its caller twice.
        let hashed = Box::pin(hash(announced, observer, cancel));
        let hashed = self.connection.keep_alive(hashed).await?;
        let asked = self.send_reuse(upload, hashed.as_ref().ok().copied().flatten()).await?;
        // The last reply to the upload: whatever it is, nothing was stored.
        match self.recv(begun.id).await {
            Err(ClientError::Fault(_)) => {}
            Err(error) => return Err(error),
            Ok(other) => return Err(unexpected(&other)),
        }
        let (Some(digest), Some(asked)) = (hashed?, asked) else { return Ok(None) };
        self.recv_reused(asked, size, digest, observer).await
    }

    /// Before an upload in parts, which is not told: asks whether there are files of its size, and has the server copy the
    /// content; `None` where it has to be sent.
    pub(crate) async fn reuse_known(
        &mut self,
        upload: &Request,
        announced: Announced,
        observer: &dyn Observer,
        cancel: &CancellationToken,
    ) -> Result<Option<Stored>, ClientError> {
        let size = announced.stamp.size;
        if !self.announced.reuse || self.reuse == Reuse::Never {
            return Ok(None);
        }
        match self.ask(Request::Known { sizes: vec![size] }).await {
            Ok(Reply::Known { sizes }) if sizes.contains(&size) => {}
            Ok(Reply::Known { .. }) | Err(ClientError::Fault(_)) => return Ok(None),
            Ok(other) => return Err(unexpected(&other)),
            Err(error) => return Err(error),
        }
        let hashed = self.connection.keep_alive(Box::pin(hash(announced, observer, cancel))).await??;
        match (hashed, self.send_reuse(upload, hashed).await?) {
            (Some(digest), Some(asked)) => self.recv_reused(asked, size, digest, observer).await,
            _ => Ok(None),
        }
    }

    async fn send_reuse(&mut self, upload: &Request, digest: Option<Digest>) -> Result<Option<u64>, ClientError> {
        match digest.and_then(|digest| reuse_request(upload, digest)) {
            Some(request) => Ok(Some(self.send(request).await?)),
            None => Ok(None),
        }
    }

    async fn recv_reused(
        &mut self,
        asked: u64,
        size: u64,
        digest: Digest,
        observer: &dyn Observer,
    ) -> Result<Option<Stored>, ClientError> {
        match self.recv(asked).await {
            Ok(Reply::Stored { size: stored, digest: of, version }) if stored == size && of == digest => {
                observer.progress(Progress { position: size, size: Some(size) });
                Ok(Some(Stored { size, digest, version }))
            }
            Ok(other) => Err(unexpected(&other)),
            // The upload says it better, if it fails as well.
            Err(ClientError::Fault(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether content that the server has is sent nevertheless.
///
/// ```
/// assert_eq!(netdisk_client::Reuse::default(), netdisk_client::Reuse::WherePossible);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reuse {
    /// The server copies it.
    #[default]
    WherePossible,
    /// It is sent.
    Never,
}

/// The request that stores by digest what an upload would store by its body.
pub(crate) fn reuse_request(upload: &Request, digest: Digest) -> Option<Request> {
    match upload {
        Request::Upload { path, size: Some(size), modified, create, .. } => {
            Some(Request::Reuse { path: path.clone(), size: *size, digest, modified: *modified, create: *create })
        }
        _ => None,
    }
}

/// Hashes a file; `None` where it is not the one that was announced any more.
async fn hash(
    announced: Announced,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<Option<Digest>, ClientError> {
    let mut hashing = Hashing::new(announced.file, announced.stamp);
    loop {
        if cancel.is_cancelled() {
            return Err(Fault::new(FaultCode::Cancelled, FaultCode::Cancelled.meaning()).into());
        }
        let (step, next) = run_blocking(move || (hashing.read(PIECE_LEN), hashing)).await;
        if let Some(ended) = step.map_err(ClientError::local(&announced.path))? {
            return Ok(ended);
        }
        hashing = next;
        observer.hashing(Progress { position: hashing.position(), size: Some(announced.stamp.size) });
    }
}
