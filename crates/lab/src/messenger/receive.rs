//! Receives texts and files, from one sender after another and from several at once.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::inbox::{Arriving, FileName};
use super::{Endian, MessengerError, fill, read_length};
use crate::limits::{
    ACCEPT_BACKOFF, CHUNK_LEN, MESSENGER_CONNECTIONS_MAX, MESSENGER_IDLE_TIMEOUT, MESSENGER_LINGER_LEN_MAX,
    MESSENGER_LINGER_TIMEOUT, MESSENGER_TEXT_LEN_MAX, MESSENGER_TYPE_LEN_MAX,
};

/// What happened, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A text arrived.
    Text(String),
    /// A file arrived and has its name.
    File {
        /// Its name.
        name: String,
        /// Its length in bytes.
        size: u64,
    },
    /// Something arrived and was thrown away; the exchange goes on.
    Refused(String),
    /// The sender has said goodbye, or hung up between two items.
    Ended,
    /// The exchange ended badly.
    Failed(String),
}

/// A listening messenger.
#[derive(Debug)]
pub struct Messenger {
    listener: TcpListener,
    rules: Arc<Rules>,
}

/// What is received how.
#[derive(Debug)]
struct Rules {
    endian: Endian,
    into: PathBuf,
    file_len_max: u64,
}

/// What a sender says of an item.
#[derive(Debug, Deserialize)]
struct ItemType {
    msg_type: String,
    file_name: Option<String>,
}

/// An item, as announced.
enum Announced {
    Text,
    File(String),
    Close,
}

impl Messenger {
    /// Listens; files will go into the directory `into`, which is made if it is not there.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the directory not be made.
    pub async fn bind(listen: SocketAddr, endian: Endian, into: &Path, file_len_max: u64) -> io::Result<Self> {
        std::fs::create_dir_all(into)?;
        let rules = Rules { endian, into: into.to_owned(), file_len_max };
        Ok(Self { listener: TcpListener::bind(listen).await?, rules: Arc::new(rules) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Receives until `stop` is cancelled; files under way are then dropped and leave nothing. A sender that breaks off
    /// costs its own connection.
    pub async fn run(self, stop: CancellationToken, watch: impl Fn(SocketAddr, Event) + Send + Sync + 'static) {
        let (tasks, watch) = (TaskTracker::new(), Arc::new(watch));
        let permits = Arc::new(Semaphore::new(MESSENGER_CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            // An accept that fails concerns one stranger, or passes.
            let Ok((stream, peer)) = accepted else {
                sleep(ACCEPT_BACKOFF).await;
                continue;
            };
            // Told at once, and not after the idle timeout of somebody else.
            let Ok(permit) = permits.clone().try_acquire_owned() else {
                drop(stream.set_zero_linger());
                watch(peer, Event::Failed(format!("{MESSENGER_CONNECTIONS_MAX} senders are connected already")));
                continue;
            };
            let (rules, stop, watch) = (self.rules.clone(), stop.clone(), watch.clone());
            tasks.spawn(async move {
                let tell = |event| watch(peer, event);
                let ended = tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    ended = exchange(stream, &rules, &tell) => ended,
                };
                tell(ended.map_or_else(|error| Event::Failed(error.to_string()), |()| Event::Ended));
                drop(permit);
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}

/// Receives from one sender, up to its goodbye or its first mistake.
async fn exchange(mut stream: TcpStream, rules: &Rules, watch: &(dyn Fn(Event) + Sync)) -> Result<(), MessengerError> {
    let ended = receive_items(&mut stream, rules, watch).await;
    if ended.is_err() {
        refuse_rest(stream).await;
    }
    ended
}

/// Takes for a moment what a sender has under way, and then resets the connection. Closed at once, a simple sender would
/// sometimes fail in the middle of its next call and sometimes not; closed properly, it would take all for received.
async fn refuse_rest(stream: TcpStream) {
    // The reset is a courtesy: where the system refuses it, the end comes without.
    drop(stream.set_zero_linger());
    let mut rest = stream.take(MESSENGER_LINGER_LEN_MAX);
    drop(timeout(MESSENGER_LINGER_TIMEOUT, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await);
}

/// Receives item after item until the sender says goodbye or hangs up between two of them.
async fn receive_items(
    stream: &mut TcpStream,
    rules: &Rules,
    watch: &(dyn Fn(Event) + Sync),
) -> Result<(), MessengerError> {
    loop {
        let seen = timeout(MESSENGER_IDLE_TIMEOUT, stream.peek(&mut [0])).await;
        if seen.map_err(|_| MessengerError::Silent)?? == 0 {
            return Ok(());
        }
        match read_type(stream, rules.endian).await? {
            Announced::Close => return Ok(()),
            Announced::Text => {
                let len = read_length(stream, rules.endian, "a text", MESSENGER_TEXT_LEN_MAX).await?;
                let mut text = vec![0; usize::try_from(len).unwrap_or_default()];
                fill(stream, &mut text, "a text").await?;
                watch(Event::Text(String::from_utf8_lossy(&text).into_owned()));
            }
            Announced::File(name) => {
                let size = read_length(stream, rules.endian, "a file", rules.file_len_max).await?;
                watch(receive_file(stream, &rules.into, &name, size).await?);
            }
        }
    }
}

async fn read_type(stream: &mut (impl AsyncRead + Unpin), endian: Endian) -> Result<Announced, MessengerError> {
    let len = read_length(stream, endian, "a type", MESSENGER_TYPE_LEN_MAX).await?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    fill(stream, &mut bytes, "a type").await?;
    if bytes == b"close" {
        return Ok(Announced::Close);
    }
    let not_a_type = |why: String| MessengerError::NotAType(why.escape_debug().to_string());
    let item: ItemType = serde_json::from_slice(&bytes).map_err(|error| not_a_type(error.to_string()))?;
    match (item.msg_type.as_str(), item.file_name) {
        ("file", Some(name)) => Ok(Announced::File(name)),
        ("file", None) => Err(not_a_type("a file without a file_name".to_owned())),
        // Courses do not agree on a word for it.
        ("msg" | "text" | "message" | "str", _) => Ok(Announced::Text),
        (other, _) => Err(not_a_type(format!("msg_type {other}"))),
    }
}

/// Receives a file of exactly `size` bytes. A name that may not be costs the file and not the exchange: its length is
/// known, so its bytes can be taken off the wire and the next item found.
async fn receive_file(
    stream: &mut (impl AsyncRead + Unpin),
    into: &Path,
    name: &str,
    size: u64,
) -> Result<Event, MessengerError> {
    let name: FileName = match name.parse() {
        Ok(name) => name,
        Err(error) => {
            copy(stream, &mut tokio::io::sink(), size).await?;
            return Ok(Event::Refused(error.to_string()));
        }
    };
    let arriving = Arriving::begin(into, &name)?;
    let mut file = tokio::fs::File::from_std(arriving.handle()?);
    copy(stream, &mut file, size).await?;
    file.flush().await?;
    drop(file);
    match arriving.keep() {
        Ok(()) => Ok(Event::File { name: name.to_string(), size }),
        Err(error) => Ok(Event::Refused(format!("{name}: {error}"))),
    }
}

/// Copies exactly `size` bytes, each piece under a deadline.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    size: u64,
) -> Result<(), MessengerError> {
    let mut room = vec![0; CHUNK_LEN];
    let mut left = size;
    while left > 0 {
        // Never more than is left: the next byte belongs to the next item.
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_LEN);
        let read = timeout(MESSENGER_IDLE_TIMEOUT, from.read(&mut room[..wanted])).await;
        let count = read.map_err(|_| MessengerError::Silent)??;
        if count == 0 {
            return Err(MessengerError::Truncated("a file"));
        }
        to.write_all(&room[..count]).await?;
        left -= count as u64;
    }
    Ok(())
}
