//! What a server may make a client hold: a listing ends, whatever the server thinks, and a file must fit.

use std::os::fd::AsFd;

use netdisk_model::{Entry, RemotePath};

use crate::error::ClientError;

/// Most that the entries of one listing may take in memory, in bytes: more than a million of them with long paths.
const LISTING_LEN_MAX: usize = 256 * 1024 * 1024;

/// Counts what is held of a listing. Whoever holds entries of a [`crate::Client::walk`] counts them: a server can send
/// them without end.
///
/// ```no_run
/// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use std::ops::ControlFlow;
///
/// let (mut held, mut tally) = (Vec::new(), netdisk_client::ListingTally::default());
/// client
///     .walk(&"/photos".parse()?, true, |entries| {
///         tally.take(&entries)?;
///         held.extend(entries);
///         Ok(ControlFlow::Continue(()))
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct ListingTally {
    len: usize,
}

impl ListingTally {
    /// Takes the entries of one message.
    ///
    /// ```
    /// assert!(netdisk_client::ListingTally::default().take(&[]).is_err(), "there is no such message");
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Unexpected`] when they are too many, or none: messages without an end and without a content.
    pub fn take(&mut self, entries: &[Entry]) -> Result<(), ClientError> {
        if entries.is_empty() {
            return Err(ClientError::Unexpected("a part of a listing with nothing in it".to_owned()));
        }
        self.add(entries.iter().map(|entry| size_of::<Entry>() + entry.path.as_str().len()).sum())
    }

    /// Takes a path that is held without its entry.
    ///
    /// ```
    /// let path = "/photos".parse()?;
    /// netdisk_client::ListingTally::default().take_path(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Unexpected`] when they are too many.
    pub fn take_path(&mut self, path: &RemotePath) -> Result<(), ClientError> {
        self.add(size_of::<Entry>() + path.as_str().len())
    }

    fn add(&mut self, len: usize) -> Result<(), ClientError> {
        self.len = self.len.saturating_add(len);
        if self.len > LISTING_LEN_MAX {
            let text = format!("a listing of more than {} MiB", LISTING_LEN_MAX >> 20);
            return Err(ClientError::Unexpected(text));
        }
        Ok(())
    }
}

/// Whether a file of this size fits where `file` is: an announced size is a server's word, a full disk is ours.
pub(crate) fn check_room(file: impl AsFd, size: u64) -> std::io::Result<()> {
    let there = rustix::fs::fstatvfs(file)?;
    if size > there.f_bavail.saturating_mul(there.f_frsize) {
        return Err(std::io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// As much of a server's words as fits a line.
pub(crate) fn excerpt(mut text: String) -> String {
    const LEN_MAX: usize = 200;
    if text.len() > LEN_MAX {
        text.truncate(text.floor_char_boundary(LEN_MAX));
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use netdisk_model::EntryKind;

    use super::*;

    #[test]
    fn an_endless_listing_ends() {
        let path = format!("/{}", "x".repeat(200)).parse().expect("a path");
        let entry = Entry { path, kind: EntryKind::File, size: 0, modified: 0, version: None };
        let message = vec![entry; 200];
        let mut tally = ListingTally::default();
        let taken = std::iter::repeat_with(|| tally.take(&message)).take_while(Result::is_ok).count() * message.len();
        assert!((500_000..2_000_000).contains(&taken), "{taken} entries");
        assert!(ListingTally::default().take(&[]).is_err(), "and so does one that says nothing");
    }

    #[test]
    fn what_does_not_fit_is_not_begun() {
        let file = tempfile::tempfile().expect("a file");
        assert!(check_room(&file, 1).is_ok());
        assert!(check_room(&file, u64::MAX).is_err());
    }

    #[test]
    fn excerpts_end_between_letters() {
        assert_eq!(excerpt("short".to_owned()), "short");
        let long = excerpt("夏".repeat(1000));
        assert!(long.len() < 210 && long.ends_with("夏..."));
    }
}
