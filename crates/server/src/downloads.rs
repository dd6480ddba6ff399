//! Downloads of a session: those that a client has asked for already are opened together, and leave together.

use netdisk_model::{Digest, PART_LEN, RemotePath, Version};
use netdisk_protocol::{Claim, Connection, ConnectionError, Fault, ID_MAX, Numbered, Reply, Request, Stop, feed_body};
use netdisk_storage::{StorageError, StoredFile};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::limits::DOWNLOADS_MAX;
use crate::refusal;
use crate::session::Session;
use crate::transfer::Download;

/// A download as it was asked for.
pub(crate) struct Wanted {
    pub(crate) id: u64,
    pub(crate) path: Claim<RemotePath>,
    /// How many bytes the client has already.
    pub(crate) offset: u64,
    /// Of which version they are, or is to be sent.
    pub(crate) version: Option<Version>,
    /// Only this part.
    pub(crate) part: Option<u64>,
}

impl Session {
    /// Answers a download, and those that were asked for behind it and are here already.
    pub(crate) async fn download<S: AsyncRead + AsyncWrite>(
        &mut self,
        connection: &mut Connection<S>,
        wanted: Wanted,
        stop: &Stop,
    ) -> Result<(), ConnectionError> {
        if wanted.offset > 0 || wanted.version.is_some() || wanted.part.is_some() {
            let Wanted { id, path, offset, version, part } = wanted;
            let opened = match path.check() {
                Ok(path) => {
                    let opened = match part {
                        Some(part) => connection.keep_alive(self.open_part(&path, part, version)).await?,
                        None => connection.keep_alive(self.open(&path, offset, version)).await?,
                    };
                    opened
                        .map_err(|error| refusal::of_storage(&path, &error))
                        .map(|(offset, file)| (path, offset, file))
                }
                Err(error) => Err(refusal::of_path(error)),
            };
            self.send_file(connection, id, opened, part, stop).await?;
            return connection.flush().await;
        }
        let (mut requests, mut paths) = (Vec::new(), Vec::new());
        let mut next = Some((wanted.id, wanted.path));
        while let Some((id, path)) = next {
            let path = path.check().map_err(refusal::of_path);
            paths.extend(path.clone());
            requests.push((id, path));
            next = if requests.len() < DOWNLOADS_MAX { try_recv_download(connection) } else { None };
        }
        let mut files = connection.keep_alive(self.account.home.open_all(&paths)).await?.into_iter();
        for (id, path) in requests {
            let opened = path.and_then(|path| match files.next() {
                Some(Ok(file)) => Ok((path, 0, file)),
                Some(Err(error)) => Err(refusal::of_storage(&path, &error)),
                None => Err(refusal::internal(&"a file without an outcome")),
            });
            self.send_file(connection, id, opened, None, stop).await?;
        }
        connection.flush().await
    }

    /// Opens a file for sending what the client lacks: from its offset, or from the start where it has part of another
    /// version.
    async fn open(
        &self,
        path: &RemotePath,
        offset: u64,
        version: Option<Version>,
    ) -> Result<(u64, Box<dyn StoredFile>), StorageError> {
        let home = &self.account.home;
        let Some(version) = version else { return Ok((offset, home.open(path, offset).await?)) };
        match home.open(path, offset).await {
            Ok(file) if file.entry().version.as_ref() == Some(&version) => Ok((offset, file)),
            Ok(_) | Err(StorageError::Changed) => Ok((0, home.open(path, 0).await?)),
            Err(error) => Err(error),
        }
    }

    /// Opens one part of a file, of the version that is meant.
    async fn open_part(
        &self,
        path: &RemotePath,
        part: u64,
        version: Option<Version>,
    ) -> Result<(u64, Box<dyn StoredFile>), StorageError> {
        let file = self.account.home.open_part(path, part).await?;
        if version.is_some() && file.entry().version != version {
            return Err(StorageError::Changed);
        }
        Ok((part * PART_LEN, file))
    }

    /// Sends a file, or says why not; the end of it waits for a flush.
    async fn send_file<S: AsyncRead + AsyncWrite>(
        &mut self,
        connection: &mut Connection<S>,
        id: u64,
        opened: Result<(RemotePath, u64, Box<dyn StoredFile>), Fault>,
        part: Option<u64>,
        stop: &Stop,
    ) -> Result<(), ConnectionError> {
        let (path, offset, file) = match opened {
            Ok(opened) => opened,
            Err(fault) => return connection.feed_message(&Numbered::new(id, Reply::Fault(fault))).await,
        };
        let ready = Reply::Ready { offset, entry: Some(file.entry().clone()), digest: file.recorded(), known: false };
        connection.feed_message(&Numbered::new(id, ready)).await?;
        let version = file.entry().version.clone();
        let mut download = Download { path, file };
        let sent = feed_body(connection, id, &mut download, stop).await?;
        self.log_sent(download.path, version, part, sent);
        Ok(())
    }

    /// One file, one line: of one in parts, the first of them that this session was sent, whichever that is.
    fn log_sent(&mut self, path: RemotePath, version: Option<Version>, part: Option<u64>, sent: Result<Digest, Fault>) {
        let (peer, user) = (self.peer, &self.account.user);
        match (sent, part) {
            (Ok(digest), None) => tracing::info!(%peer, %user, ?path, %digest, "sent"),
            // Its digest is none of the file's.
            (Ok(_), Some(part)) => {
                let sent = (path, version);
                let path = &sent.0;
                if self.in_parts.as_ref() == Some(&sent) {
                    tracing::debug!(%peer, %user, ?path, part, "sent");
                } else {
                    tracing::info!(%peer, %user, ?path, part, "sent");
                    self.in_parts = Some(sent);
                }
            }
            (Err(fault), _) => tracing::info!(%peer, %user, ?path, code = %fault.code, "not sent"),
        }
    }
}

/// The next request, where it is here already and asks for a whole file.
fn try_recv_download<S: AsyncRead + AsyncWrite>(connection: &mut Connection<S>) -> Option<(u64, Claim<RemotePath>)> {
    let is_wanted = |request: &Numbered<Request>| {
        matches!(
            request,
            Numbered { id: 1..=ID_MAX, message: Request::Download { offset: 0, version: None, part: None, .. } }
        )
    };
    match connection.try_recv(is_wanted)? {
        Numbered { id, message: Request::Download { path, .. } } => Some((id, path)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use netdisk_model::Password;
    use netdisk_protocol::FaultCode;
    use netdisk_storage::{Accounts as _, MemoryStore};
    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(data);
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn of_a_file_in_parts_the_first_one_that_is_sent_is_logged() {
        let store = MemoryStore::new();
        let user = "alice".parse().expect("a name");
        let account = store.register(&user, Password::new("correct horse")).await.expect("an account");
        let mut session = Session::new(account, Vec::new(), "127.0.0.1:1".parse().expect("an address"));
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let fault = || Fault::new(FaultCode::Corrupt, "rotten");
        tracing::subscriber::with_default(subscriber, || {
            let mut sent = |path: &str, version, part, sent: Result<Digest, Fault>| {
                session.log_sent(path.parse().expect("a path"), Some(Version::new(version)), part, sent);
            };
            let digest = Digest::of(b"part");
            sent("/a", 1, Some(3), Err(fault()));
            for part in [4, 0, 5] {
                sent("/a", 1, Some(part), Ok(digest));
            }
            sent("/a", 2, Some(1), Ok(digest));
            sent("/b", 2, Some(0), Ok(digest));
            sent("/c", 1, None, Ok(digest));
        });
        let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let told: Vec<Value> = lines
            .iter()
            .map(|line| &line["fields"])
            .map(|line| json!([line["message"], line["path"], line["part"], line["digest"].is_string()]))
            .collect();
        let path = |path: &str| format!("{:?}", path.parse::<RemotePath>().expect("a path"));
        assert_eq!(
            told,
            [
                json!(["not sent", path("/a"), null, false]),
                json!(["sent", path("/a"), 4, false]),
                json!(["sent", path("/a"), 1, false]),
                json!(["sent", path("/b"), 0, false]),
                json!(["sent", path("/c"), null, true]),
            ]
        );
    }
}
