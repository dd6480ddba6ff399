//! Uploads in parts: one session opens and finishes each, all sessions of its user bring parts.
//!
//! An upload lives as long as the session that opened it has it: a connection that is lost or silent gives it up, as it
//! does any upload, and what came without a gap is kept.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use netdisk_model::{Digest, RemotePath, UserName};
use netdisk_protocol::{Connection, ConnectionError, Fault, FaultCode, Reply, Sink, Stop, recv_body, refuse_body};
use netdisk_storage::{Part, PartTaker, PartedFile, StorageError, UploadSpec};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::listener::Server;
use crate::refusal;
use crate::session::Session;

/// Whose upload it is, and its name.
type Key = (UserName, String);

/// Where it goes, and what takes its parts.
type Takers = HashMap<Key, (RemotePath, Arc<dyn PartTaker>)>;

/// Uploads that are open: as many at most as there are sessions.
#[derive(Debug, Default)]
pub(crate) struct OpenUploads {
    takers: Mutex<Takers>,
}

impl OpenUploads {
    /// What takes the parts of an upload of this user: of nobody else's.
    fn find(&self, user: &UserName, upload: &str) -> Option<(RemotePath, Arc<dyn PartTaker>)> {
        self.lock().get(&(user.clone(), upload.to_owned())).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Takers> {
        self.takers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload that a session has opened. Dropped, it is given up.
pub(crate) struct OpenUpload {
    key: Key,
    path: RemotePath,
    file: Option<Box<dyn PartedFile>>,
    open: Arc<OpenUploads>,
}

impl std::fmt::Debug for OpenUpload {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("OpenUpload").field("path", &self.path).finish_non_exhaustive()
    }
}

impl OpenUpload {
    /// Ends it, and waits until what it held is free: its room, and what is kept of it.
    async fn give_up(mut self) {
        if let Some(file) = self.file.take() {
            file.give_up().await;
        }
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        self.open.lock().remove(&self.key);
    }
}

/// A name that no other upload has, nor had before a restart: a late part must not come to another one.
fn fresh_name() -> String {
    let random = || RandomState::new().hash_one(std::time::Instant::now());
    format!("{:016x}{:016x}", random(), random())
}

fn no_upload(upload: &str) -> Fault {
    let name: String = upload.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    Fault::new(FaultCode::NotFound, format!("{name}: {}", StorageError::NoUpload))
}

/// A part under way, as the place where its body goes.
struct Bringing {
    path: RemotePath,
    part: Box<dyn Part>,
}

#[async_trait]
impl Sink for Bringing {
    async fn write(&mut self, data: Bytes) -> Result<(), Fault> {
        self.part.write(data).await.map_err(|error| refusal::of_storage(&self.path, &error))
    }
}

impl Session {
    /// Opens an upload in parts. One that this session had open before is given up.
    pub(crate) async fn open_upload(&mut self, server: &Server, spec: UploadSpec) -> Result<Reply, Fault> {
        if let Some(open) = self.open.take() {
            // It may be the same one.
            open.give_up().await;
        }
        let path = spec.path.clone();
        let begun = self.account.home.begin_parts(spec).await;
        let file = begun.map_err(|error| refusal::of_creation(&path, &error))?;
        let (upload, offset) = (fresh_name(), file.offset());
        let key = (self.account.user.clone(), upload.clone());
        server.open.lock().insert(key.clone(), (path.clone(), file.taker()));
        self.open = Some(OpenUpload { key, path, file: Some(file), open: server.open.clone() });
        Ok(Reply::Opened { upload, offset })
    }

    /// Takes a part off the wire, whoever opened its upload.
    pub(crate) async fn take_part<S: AsyncRead + AsyncWrite>(
        &self,
        server: &Server,
        connection: &mut Connection<S>,
        id: u64,
        upload: &str,
        number: u64,
        stop: &Stop,
    ) -> Result<Result<Reply, Fault>, ConnectionError> {
        let begun = match server.open.find(&self.account.user, upload) {
            Some((path, taker)) => match connection.keep_alive(taker.begin(number)).await? {
                Ok(part) => Ok(Bringing { path, part }),
                Err(error) => Err(refusal::of_storage(&path, &error)),
            },
            None => Err(no_upload(upload)),
        };
        let mut bringing = match begun {
            Ok(bringing) => bringing,
            // The body is on its way and must be taken off the wire.
            Err(fault) => return refuse_body(connection, id, fault).await.map(Err),
        };
        match recv_body(connection, id, &mut bringing, stop).await? {
            Ok(claimed) => {
                let Bringing { path, part } = bringing;
                let finished = connection.keep_alive(part.finish(claimed)).await?;
                Ok(finished.map(|()| Reply::Done).map_err(|error| refusal::of_storage(&path, &error)))
            }
            Err(fault) => Ok(Err(fault)),
        }
    }

    /// Ends an upload that this session opened.
    pub(crate) async fn finish_upload(&mut self, upload: &str, digest: Option<Digest>) -> Result<Reply, Fault> {
        let Some(mut open) = self.open.take_if(|open| open.key.1 == upload) else { return Err(no_upload(upload)) };
        let Some(file) = open.file.take() else { return Err(no_upload(upload)) };
        match digest {
            Some(claimed) => match file.commit(claimed).await {
                Ok(stored) => Ok(self.stored(&open.path, stored)),
                Err(error) => Err(refusal::of_storage(&open.path, &error)),
            },
            None => {
                file.give_up().await;
                Ok(Reply::Done)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use netdisk_model::{PART_LEN, Password};
    use netdisk_storage::{Accounts as _, Existing, MemoryStore, Stored};

    use super::*;
    use crate::listener::Registration;

    /// An upload that takes its time to end.
    struct Slow {
        file: Box<dyn PartedFile>,
        is_over: Arc<AtomicBool>,
    }

    #[async_trait]
    impl PartedFile for Slow {
        fn offset(&self) -> u64 {
            self.file.offset()
        }

        fn taker(&self) -> Arc<dyn PartTaker> {
            self.file.taker()
        }

        async fn commit(self: Box<Self>, claimed: Digest) -> Result<Stored, StorageError> {
            self.file.commit(claimed).await
        }

        async fn give_up(self: Box<Self>) {
            tokio::time::sleep(Duration::from_secs(5)).await;
            self.is_over.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_is_opened_when_the_one_before_has_ended() {
        let store = Arc::new(MemoryStore::new());
        let user = "alice".parse().expect("a name");
        let account = store.register(&user, Password::new("correct horse")).await.expect("an account");
        let server = Server::new(store, None, Registration::Open);
        let mut session = Session::new(account, Vec::new(), "127.0.0.1:1".parse().expect("an address"));
        let (path, resume) = ("/f".parse().expect("a path"), Some("key".parse().expect("a key")));
        let size = Some(2 * PART_LEN);
        let spec = UploadSpec { path, size, modified: None, existing: Existing::Replace, resume };
        session.open_upload(&server, spec.clone()).await.expect("opened");
        let is_over = Arc::new(AtomicBool::new(false));
        let open = session.open.as_mut().expect("open");
        let file = open.file.take().expect("open");
        open.file = Some(Box::new(Slow { file, is_over: is_over.clone() }));
        session.open_upload(&server, spec).await.expect("opened");
        assert!(is_over.load(Ordering::Relaxed));
        assert_eq!(server.open.lock().len(), 1);
    }
}
