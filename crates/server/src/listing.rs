//! A listing on its way to the client: as many entries in a message as fit.

use netdisk_model::{Entry, RemotePath};
use netdisk_protocol::limits::MESSAGE_LEN_MAX;
use netdisk_protocol::{BodyPart, Connection, ConnectionError, Numbered, Reply, Stop};
use netdisk_storage::Listing;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::refusal;
use crate::session::reply;

/// Room that the JSON around the entries of one message takes at most, in bytes.
const ENVELOPE_LEN_MAX: usize = 128;

/// Upper bound of an entry's JSON in bytes: its path, in which JSON escapes only `"` (a path has no control character
/// and no backslash), and its other fields at their longest.
fn entry_len_max(entry: &Entry) -> usize {
    2 * entry.path.as_str().len() + 192
}

/// Sends the entries of a listing, as many in a message as fit, then the end; stops when the client wants no more.
pub(crate) async fn send_listing<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    id: u64,
    path: &RemotePath,
    mut listing: Box<dyn Listing>,
    stop: &Stop,
) -> Result<(), ConnectionError> {
    let mut count = 0;
    loop {
        if let Some(fault) = connection.try_recv_abort(id)? {
            return connection.send(&Numbered::new(id, BodyPart::Abort(fault))).await;
        }
        if let Err(fault) = stop.check() {
            return reply(connection, id, Err(fault)).await;
        }
        let batch = match connection.keep_alive(listing.next_batch()).await? {
            Ok(batch) => batch,
            Err(error) => return reply(connection, id, Err(refusal::of_storage(path, &error))).await,
        };
        if batch.is_empty() {
            return reply(connection, id, Ok(Reply::End { count, skipped: listing.skipped() })).await;
        }
        count += batch.len() as u64;
        for entries in split(batch) {
            connection.feed_message(&Numbered::new(id, Reply::Entries { entries })).await?;
        }
    }
}

/// Splits entries so that each part fits a message.
fn split(batch: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut parts = vec![Vec::new()];
    let mut len = ENVELOPE_LEN_MAX;
    for entry in batch {
        let entry_len = entry_len_max(&entry);
        if len + entry_len > MESSAGE_LEN_MAX {
            parts.push(Vec::new());
            len = ENVELOPE_LEN_MAX;
        }
        len += entry_len;
        if let Some(part) = parts.last_mut() {
            part.push(entry);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use netdisk_model::{EntryKind, PATH_LEN_MAX, Version};

    use super::*;

    #[test]
    fn the_longest_entries_fit_their_messages() {
        // Sixteen components of quotes, which JSON doubles.
        let path = format!("/{}", "\"".repeat(255)).repeat(PATH_LEN_MAX / 256);
        let entry = Entry {
            path: path.parse().expect("a path"),
            kind: EntryKind::Directory,
            size: u64::MAX,
            modified: i64::MIN,
            version: Some(Version::new(u64::MAX)),
        };
        let parts = split(vec![entry; 100]);
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 100);
        for entries in parts {
            assert!(!entries.is_empty());
            let message = Numbered::new(u64::MAX, Reply::Entries { entries });
            assert!(serde_json::to_vec(&message).expect("JSON").len() <= MESSAGE_LEN_MAX);
        }
    }
}
