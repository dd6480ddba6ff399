//! Where received files go: one directory, by plain names, whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tempfile::NamedTempFile;

/// The longest name of a file on Linux in bytes.
const NAME_LEN_MAX: usize = 255;

/// A name that leads nowhere but into the directory that it is put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

/// Why a text is no [`FileName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no plain file name: send the last part of the path, without a slash, as os.path.basename gives it")]
pub struct FileNameError(String);

impl FromStr for FileName {
    type Err = FileNameError;

    /// Refuses and never repairs: what is cut down to a good name may be another file's.
    fn from_str(text: &str) -> Result<Self, FileNameError> {
        let is_plain = !text.chars().any(|c| c == '/' || c == '\\' || c.is_control());
        // Hidden files steer programs (.bashrc), and the unfinished ones here begin so, too.
        if !is_plain || text.is_empty() || text.starts_with('.') || text.len() > NAME_LEN_MAX {
            return Err(FileNameError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// A file that is still arriving. Dropped before it is kept, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Arriving {
    file: NamedTempFile,
    target: PathBuf,
}

impl Arriving {
    pub(super) fn begin(into: &Path, name: &FileName) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(".arriving-").tempfile_in(into)?;
        Ok(Self { file, target: into.join(&name.0) })
    }

    /// A second handle on it, for writing.
    pub(super) fn handle(&self) -> io::Result<std::fs::File> {
        self.file.as_file().try_clone()
    }

    /// Gives it its name, over a file that has it already.
    pub(super) fn keep(self) -> io::Result<()> {
        // A link or a directory under that name is replaced or refused, never followed: that is what rename(2) does.
        self.file.persist(&self.target)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_names() {
        for good in ["a.txt", "夏天 [1].jpg", "a..b", "-rf", "CON"] {
            assert_eq!(good.parse::<FileName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        let long = "x".repeat(256);
        for bad in ["", ".", "..", ".bashrc", "../x", "/etc/passwd", "a/b", "C:\\x", "..\\x", "a\0b", "a\nb", &long] {
            assert_eq!(bad.parse::<FileName>(), Err(FileNameError(bad.to_owned())));
        }
        assert!("x".repeat(255).parse::<FileName>().is_ok());
    }
}
