//! A folder down a stream, and off it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::link::{BUFFER_LEN, Link};

/// Sends all files below `folder`.
pub(super) fn send(link: &mut Link, folder: &Path) -> Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let path = entry.path();
            let file = File::open(&path)?;
            let size = file.metadata()?.len();
            link.write_text(path.strip_prefix(folder)?.to_str().context("UTF-8")?)?;
            link.write_all(&size.to_be_bytes())?;
            link.write_file(&file, size)?;
        }
    }
    link.write_all(&[0; 2])?;
    link.flush()
}

/// Writes all files that come to `folder`.
pub(super) fn receive(link: &mut Link, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let (mut buffer, mut last_parent) = (vec![0; BUFFER_LEN], folder.to_owned());
    while let Some(path) = link.read_text()? {
        let path = folder.join(path);
        let parent = path.parent().context("a parent")?;
        if parent != last_parent {
            fs::create_dir_all(parent)?;
            last_parent = parent.to_owned();
        }
        let mut size = [0; 8];
        link.read_exact(&mut size)?;
        let (mut left, mut file) = (u64::from_be_bytes(size), File::create(&path)?);
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(BUFFER_LEN).min(BUFFER_LEN);
            let length = link.read_some(&mut buffer[..wanted])?;
            file.write_all(&buffer[..length])?;
            left -= length as u64;
        }
    }
    Ok(())
}
