//! What is transferred: a folder of random bytes whose digests are known, and the question whether it arrived.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use blake3::Hash;

/// Bytes that are made and written at a time.
const CHUNK_LEN: usize = 256 * 1024;
/// How many files of a tree lie in one folder.
const FILES_PER_FOLDER: usize = 100;

/// A folder of files. Its name is the folder's name on either side.
#[derive(Debug)]
pub(crate) struct FileSet {
    pub(crate) root: PathBuf,
    /// By path below the root.
    pub(crate) files: BTreeMap<String, Known>,
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) size: u64,
    pub(crate) digest: Hash,
}

/// One file of that size.
pub(crate) fn one_file(size: u64) -> Vec<(String, u64)> {
    vec![("file.bin".to_owned(), size)]
}

/// So many files of one size, in folders of a hundred.
pub(crate) fn tree(count: usize, size: u64) -> Vec<(String, u64)> {
    let path = |number| format!("d{:03}/f{number:06}.bin", number / FILES_PER_FOLDER);
    (0..count).map(|number| (path(number), size)).collect()
}

/// So many files of one size, in one folder.
pub(crate) fn many_files(count: usize, size: u64) -> Vec<(String, u64)> {
    (0..count).map(|number| (format!("f{number:06}.bin"), size)).collect()
}

impl FileSet {
    /// Writes the files of `shape` below `root`; the same seed gives the same bytes, another seed shares none.
    pub(crate) fn make(root: PathBuf, shape: &[(String, u64)], seed: u64) -> Result<Self> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut files = BTreeMap::new();
        for (path, size) in shape {
            let file = root.join(path);
            fs::create_dir_all(file.parent().context("a file lies in a folder")?)?;
            let digest = write_random(&file, *size, &mut random).with_context(|| file.display().to_string())?;
            files.insert(path.clone(), Known { size: *size, digest });
        }
        Ok(Self { root, files })
    }

    /// The folder's name.
    pub(crate) fn name(&self) -> Result<&str> {
        self.root.file_name().and_then(|name| name.to_str()).context("a set has a name")
    }

    /// Bytes in all.
    pub(crate) fn size(&self) -> u64 {
        self.files.values().map(|known| known.size).sum()
    }

    /// What is wrong with `folder` as a copy of the set; nothing if it is whole and holds nothing else.
    pub(crate) fn find_fault(&self, folder: &Path) -> Result<Option<String>> {
        let found = files_below(folder)?;
        if let Some(extra) = found.keys().find(|path| !self.files.contains_key(*path)) {
            return Ok(Some(format!("{extra} is there and should not be")));
        }
        for (path, known) in &self.files {
            match found.get(path) {
                None => {
                    return Ok(Some(format!("{path} is missing ({} of {} arrived)", found.len(), self.files.len())));
                }
                Some(size) if *size != known.size => {
                    return Ok(Some(format!("{path} has {size} bytes and not {}", known.size)));
                }
                Some(_) if digest_of(&folder.join(path))? != known.digest => {
                    return Ok(Some(format!("{path} has other bytes")));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// How many bytes of the set have arrived in `folder` in whole files.
    pub(crate) fn arrived(&self, folder: &Path) -> Result<(usize, u64)> {
        let found = files_below(folder)?;
        let whole = self.files.iter().filter(|(path, known)| found.get(*path) == Some(&known.size));
        Ok(whole.fold((0, 0), |(count, bytes), (_, known)| (count + 1, bytes + known.size)))
    }

    /// Makes the set appear in `folder` without a transfer: by links, or copies where those cannot be.
    pub(crate) fn lay_into(&self, folder: &Path) -> Result<()> {
        for path in self.files.keys() {
            let (from, to) = (self.root.join(path), folder.join(path));
            fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(&from, &to).with_context(|| to.display().to_string())?;
            }
        }
        Ok(())
    }
}

fn write_random(file: &Path, size: u64, random: &mut fastrand::Rng) -> Result<Hash> {
    let mut out = BufWriter::new(File::create(file)?);
    let (mut hasher, mut chunk, mut left) = (blake3::Hasher::new(), vec![0; CHUNK_LEN], size);
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(CHUNK_LEN).min(CHUNK_LEN);
        random.fill(&mut chunk[..length]);
        hasher.update(&chunk[..length]);
        out.write_all(&chunk[..length])?;
        left -= length as u64;
    }
    out.flush()?;
    Ok(hasher.finalize())
}

fn digest_of(file: &Path) -> Result<Hash> {
    let opened = File::open(file).with_context(|| file.display().to_string())?;
    Ok(blake3::Hasher::new().update_reader(opened)?.finalize())
}

/// Sizes of all files below `folder`, by path; none if there is no folder.
fn files_below(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        let entries = match fs::read_dir(&next) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && next == folder => continue,
            entries => entries.with_context(|| next.display().to_string())?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let path = entry.path().strip_prefix(folder)?.to_string_lossy().into_owned();
            files.insert(path, entry.metadata()?.len());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert_eq!(one_file(7), [("file.bin".to_owned(), 7)]);
        let tree = tree(201, 3);
        assert_eq!(tree.len(), 201);
        assert_eq!(tree[99].0, "d000/f000099.bin");
        assert_eq!(tree[200], ("d002/f000200.bin".to_owned(), 3));
        let many = many_files(201, 3);
        assert_eq!(many.len(), 201);
        assert_eq!(many[200], ("f000200.bin".to_owned(), 3));
        assert!(many_files(0, 3).is_empty());
    }

    #[test]
    fn sets_are_the_same_for_a_seed_and_share_nothing_between_seeds() -> Result<()> {
        let folder = tempfile::tempdir()?;
        // 0: nothing to write; 1: less than a chunk; one more than a chunk: two rounds.
        let sizes = [0, 1, CHUNK_LEN as u64 + 1];
        let shape: Vec<(String, u64)> = sizes.iter().map(|size| (format!("{size}"), *size)).collect();
        let make = |name: &str, seed| FileSet::make(folder.path().join(name), &shape, seed);
        let (first, again, other) = (make("a", 1)?, make("b", 1)?, make("c", 2)?);
        assert_eq!(first.size(), CHUNK_LEN as u64 + 2);
        assert_eq!(first.files, again.files);
        assert_ne!(first.files[&sizes[2].to_string()], other.files[&sizes[2].to_string()]);
        Ok(())
    }

    #[test]
    fn every_fault_is_found() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let set = FileSet::make(folder.path().join("set"), &many_files(3, 10), 1)?;
        let copy = folder.path().join("copy");
        assert!(set.find_fault(&copy)?.is_some_and(|fault| fault.contains("missing")));
        assert_eq!(set.arrived(&copy)?, (0, 0));
        set.lay_into(&copy)?;
        assert_eq!(set.find_fault(&copy)?, None);
        assert_eq!(set.arrived(&copy)?, (3, 30));
        let victim = copy.join("f000001.bin");
        let spoil = |bytes: &[u8]| {
            // The copy is a link to the original.
            fs::remove_file(&victim)?;
            fs::write(&victim, bytes)
        };
        spoil(&[0; 10])?;
        assert!(set.find_fault(&copy)?.is_some_and(|fault| fault.contains("other bytes")));
        spoil(&[0; 9])?;
        assert!(set.find_fault(&copy)?.is_some_and(|fault| fault.contains("9 bytes and not 10")));
        fs::rename(&victim, copy.join("f000001.bin.part"))?;
        assert!(set.find_fault(&copy)?.is_some_and(|fault| fault.contains("should not be")));
        Ok(())
    }
}
