//! Sends texts and files to a receiver of the same kind.

use std::io;
use std::path::PathBuf;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Endian;
use crate::LabError;
use crate::limits::{CHUNK_LEN, DIAL_TIMEOUT, MESSENGER_IDLE_TIMEOUT};

/// Something to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// A text.
    Text(String),
    /// A file; its own name goes along, not its path.
    File(PathBuf),
}

/// Sends all of `items` in order, then `close`. Not cancel safe.
///
/// # Errors
/// When the receiver cannot be reached or hangs up, or a file cannot be read or is too long for a signed length.
pub async fn send(to: &str, endian: Endian, items: &[Outgoing]) -> Result<(), LabError> {
    let connected = timeout(DIAL_TIMEOUT, TcpStream::connect(to)).await;
    let mut stream = connected.map_err(|_| LabError::Failed(format!("{to}: no answer")))??;
    for item in items {
        match item {
            Outgoing::Text(text) => {
                write(&mut stream, &sized(endian, json!({"msg_type": "msg"}).to_string().as_bytes())?).await?;
                write(&mut stream, &sized(endian, text.as_bytes())?).await?;
            }
            Outgoing::File(path) => send_file(&mut stream, endian, path).await?,
        }
    }
    write(&mut stream, &sized(endian, b"close")?).await?;
    stream.shutdown().await.map_err(refused)?;
    // Until the receiver has hung up, too, it may not have read all of it.
    match timeout(MESSENGER_IDLE_TIMEOUT, stream.read(&mut [0])).await {
        Ok(read) => read.map(drop).map_err(refused),
        Err(_) => Err(LabError::Failed(format!("{to} does not hang up"))),
    }
}

/// A receiver has one way to say that it does not understand: it breaks off.
fn refused(error: io::Error) -> LabError {
    LabError::Failed(format!("the receiver broke off ({error}): what it says may tell why; or try the other --endian"))
}

async fn send_file(stream: &mut TcpStream, endian: Endian, path: &PathBuf) -> Result<(), LabError> {
    let named = |error: io::Error| LabError::Failed(format!("{}: {error}", path.display()));
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| LabError::Usage(format!("{} has no name that JSON can carry", path.display())))?;
    // A pipe has no length that could be said first, and to open one is to wait for its writer.
    if !tokio::fs::metadata(path).await.map_err(named)?.is_file() {
        return Err(LabError::Usage(format!("{} is no regular file", path.display())));
    }
    let mut file = tokio::fs::File::open(path).await.map_err(named)?;
    let size = file.metadata().await.map_err(named)?.len();
    let len = i32::try_from(size)
        .map_err(|_| LabError::Usage(format!("{} is too long for a signed 4-byte length", path.display())))?;
    let item = json!({"msg_type": "file", "file_name": name}).to_string();
    write(stream, &sized(endian, item.as_bytes())?).await?;
    write(stream, &endian.bytes(len)).await?;
    let (mut left, mut room) = (size, vec![0; CHUNK_LEN]);
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_LEN);
        let count = file.read(&mut room[..wanted]).await.map_err(named)?;
        if count == 0 {
            // The length is said already: there is no way back but to hang up.
            return Err(LabError::Failed(format!("{} became shorter while it was sent", path.display())));
        }
        write(stream, &room[..count]).await?;
        left -= count as u64;
    }
    Ok(())
}

fn sized(endian: Endian, bytes: &[u8]) -> Result<Vec<u8>, LabError> {
    let len = i32::try_from(bytes.len()).map_err(|_| LabError::Usage("a text is too long".to_owned()))?;
    Ok([&endian.bytes(len), bytes].concat())
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), LabError> {
    match timeout(MESSENGER_IDLE_TIMEOUT, stream.write_all(bytes)).await {
        Ok(written) => written.map_err(refused),
        Err(_) => Err(LabError::Failed("the receiver does not read".to_owned())),
    }
}
