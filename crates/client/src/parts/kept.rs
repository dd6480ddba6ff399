//! A part file of which parts are there, in whatever order they came.

use std::fs::File;
use std::io::Read as _;

use netdisk_model::{Digest, Entry, PART_LEN, PartHasher, Parts};
use netdisk_protocol::limits::DATA_LEN_MAX;
use tokio_util::sync::CancellationToken;

use crate::caps::check_room;
use crate::door::run_blocking;
use crate::error::ClientError;
use crate::part_file::{PartFile, Place};
use crate::transfers::cancelled_fault;

/// A part file and what is in it.
pub(crate) struct Kept {
    pub(crate) part: PartFile,
    pub(crate) file: File,
    pub(crate) entry: Entry,
    pub(crate) parts: Parts,
}

impl Kept {
    /// Begins anew, where `entry` fits; `None` where that is too small to come in parts. Blocks.
    pub(crate) fn begin(place: &Place, entry: &Entry) -> Result<Option<Self>, ClientError> {
        let Some(parts) = Parts::of(entry.size) else { return Ok(None) };
        let (mut part, file) = PartFile::create(place)?;
        check_room(&file, entry.size).map_err(ClientError::local(&place.shown))?;
        part.mark(&file, entry);
        Ok(Some(Self { part, file, entry: entry.clone(), parts }))
    }

    /// Goes on with the `len` bytes that an interrupted transfer left of the file that was `of`, and is `entry` now: reads
    /// and hashes what is good of it, telling how much. `None` where it is too small to come in parts.
    pub(crate) async fn go_on(
        place: &Place,
        (mut part, mut file, of, len): (PartFile, File, Entry, u64),
        entry: Entry,
        cancel: &CancellationToken,
        tell: impl Fn(u64),
    ) -> Result<Option<Self>, ClientError> {
        let local = ClientError::local(&place.shown);
        let Some(mut parts) = Parts::of(entry.size) else {
            part.discard();
            return Ok(None);
        };
        if of.version != entry.version {
            // Nothing of the old one may stay.
            file.set_len(0).map_err(&local)?;
            check_room(&file, entry.size).map_err(&local)?;
            part.mark(&file, &entry);
            return Ok(Some(Self { part, file, entry, parts }));
        }
        while let Some((offset, part_len)) = parts.place(parts.contiguous())
            && offset + part_len <= len
        {
            if cancel.is_cancelled() {
                return Err(cancelled_fault());
            }
            let number = parts.contiguous();
            let read = move || {
                let digest = read_part(&mut file, number, part_len);
                (file, digest)
            };
            let digest;
            (file, digest) = run_blocking(read).await;
            parts.add(number, digest.map_err(&local)?);
            tell(parts.contiguous_len());
        }
        Ok(Some(Self { part, file, entry, parts }))
    }
}

/// Reads the next part of a file. Blocks.
fn read_part(file: &mut File, number: u64, len: u64) -> std::io::Result<Digest> {
    let mut hasher = PartHasher::new(number);
    let mut data = vec![0; DATA_LEN_MAX];
    let mut left = usize::try_from(len.min(PART_LEN)).unwrap_or(0);
    while left > 0 {
        let some = left.min(data.len());
        file.read_exact(&mut data[..some])?;
        hasher.update(&data[..some]);
        left -= some;
    }
    hasher.digest().ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}
