//! Content that the user has already: whether it may be there, and storing it without a body.

use netdisk_model::{Digest, RemotePath};
use netdisk_protocol::{BodyStart, Claim, Connection, ConnectionError, Fault, FaultCode, Reply};
use netdisk_storage::{Existing, UploadSpec};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::limits::SIZES_MAX;
use crate::refusal;
use crate::session::Session;
use crate::transfer::Upload;

/// A file whose content need not travel.
pub(crate) struct Reused {
    pub(crate) size: u64,
    pub(crate) modified: Option<i64>,
    pub(crate) existing: Existing,
}

impl Session {
    /// Says of which sizes there are files.
    pub(crate) async fn known<S: AsyncRead + AsyncWrite>(
        &self,
        connection: &mut Connection<S>,
        sizes: &[u64],
    ) -> Result<Result<Reply, Fault>, ConnectionError> {
        if sizes.len() > SIZES_MAX {
            let why = format!("{} sizes, where {SIZES_MAX} may be", sizes.len());
            return Err(ConnectionError::not_a_message(why));
        }
        let known = connection.keep_alive(self.account.home.known_sizes(sizes)).await?;
        let known = known.map(|sizes| Reply::Known { sizes });
        Ok(known.map_err(|error| refusal::of_storage(&RemotePath::root(), &error)))
    }

    /// Begins an upload, and looks whether other files have its size where the client waits for an answer anyway. One that
    /// goes on where it was is sent to its end.
    pub(crate) async fn with_hint(
        &self,
        begin: impl Future<Output = Result<Upload, Fault>>,
        size: Option<u64>,
        body: BodyStart,
    ) -> Result<Upload, Fault> {
        let mut upload = begin.await?;
        if let (Some(size), 0, BodyStart::Wait) = (size, upload.partial.offset(), body) {
            match self.account.home.known_sizes(&[size]).await {
                Ok(known) => upload.known = !known.is_empty(),
                // It is no more than a hint: the upload goes on without.
                Err(error) => tracing::warn!(user = %self.account.user, %error, "a size could not be looked up"),
            }
        }
        Ok(upload)
    }

    /// Stores content of this digest, if the user has it.
    pub(crate) async fn reuse(&self, path: Claim<RemotePath>, file: Reused, digest: Digest) -> Result<Reply, Fault> {
        let path = path.check().map_err(refusal::of_path)?;
        let Reused { size, modified, existing } = file;
        let spec = UploadSpec { path: path.clone(), size: Some(size), modified, existing, resume: None };
        match self.account.home.store_known(spec, digest).await {
            Ok(Some(stored)) => Ok(self.stored(&path, stored)),
            Ok(None) => Err(Fault::new(FaultCode::NotFound, "no file here is known to have this content")),
            Err(error) => Err(refusal::of_creation(&path, &error)),
        }
    }
}
