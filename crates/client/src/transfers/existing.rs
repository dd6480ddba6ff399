//! What happens where something stands already.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::ClientError;
use crate::transfer::OnExisting;

/// What happens to a file that stands where another goes, in a transfer of many.
///
/// ```
/// use netdisk_client::Existing;
///
/// let careful = Existing::Newer;
/// assert!(matches!(careful, Existing::Newer));
/// ```
#[derive(Clone, Default)]
pub enum Existing {
    /// It is replaced.
    #[default]
    Replace,
    /// It stays, and the other one fails.
    Refuse,
    /// It stays, and the other one is left out.
    Skip,
    /// It is replaced when the other one is newer; otherwise that is left out.
    Newer,
    /// Both are kept, the other one as `NAME (1)`.
    Rename,
    /// Somebody decides, file by file.
    Ask(Arc<dyn Ask>),
}

impl fmt::Debug for Existing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Replace => "Replace",
            Self::Refuse => "Refuse",
            Self::Skip => "Skip",
            Self::Newer => "Newer",
            Self::Rename => "Rename",
            Self::Ask(_) => "Ask",
        })
    }
}

/// Somebody who decides whether a file is replaced.
///
/// ```
/// struct Never;
///
/// #[async_trait::async_trait]
/// impl netdisk_client::Ask for Never {
///     async fn replace(&self, _name: &str) -> Result<bool, netdisk_client::ClientError> {
///         Ok(false)
///     }
/// }
/// ```
#[async_trait]
pub trait Ask: Send + Sync {
    /// Whether the file of this name is replaced. It may take its time; one question is asked at a time.
    ///
    /// # Errors
    /// What ends the whole transfer.
    async fn replace(&self, name: &str) -> Result<bool, ClientError>;
}

/// What was decided about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Replace,
    LeaveOut,
    /// Under a name with this number.
    Number,
    Fail,
}

impl Existing {
    /// Whether it must be known what stands there before anything is sent.
    pub(super) fn must_look(&self) -> bool {
        !matches!(self, Self::Replace | Self::Refuse)
    }

    /// What is asked for where nobody has looked.
    pub(super) fn unseen(&self) -> OnExisting {
        match self {
            Self::Replace => OnExisting::Replace,
            _ => OnExisting::Refuse,
        }
    }

    /// Decides about a file that goes where one stands; the times are of the last modification of both.
    pub(super) async fn decide(&self, name: &str, ours: i64, standing: i64) -> Result<Verdict, ClientError> {
        Ok(match self {
            Self::Replace => Verdict::Replace,
            Self::Refuse => Verdict::Fail,
            Self::Skip => Verdict::LeaveOut,
            Self::Newer if ours > standing => Verdict::Replace,
            Self::Newer => Verdict::LeaveOut,
            Self::Rename => Verdict::Number,
            Self::Ask(who) if who.replace(name).await? => Verdict::Replace,
            Self::Ask(_) => Verdict::LeaveOut,
        })
    }
}

/// `name`, `name (1)`, `name (2)`, ..., the number before the extension.
///
/// ```
/// assert_eq!(netdisk_client::numbered("a.txt", 1), "a (1).txt");
/// ```
pub fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => format!("{stem} ({number}).{extension}"),
        _ => format!("{name} ({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_before_the_extension() {
        assert_eq!(numbered("a.txt", 1), "a (1).txt");
        assert_eq!(numbered("archive.tar.gz", 2), "archive.tar (2).gz");
        assert_eq!(numbered("noext", 3), "noext (3)");
        assert_eq!(numbered(".hidden", 4), ".hidden (4)");
    }
}
