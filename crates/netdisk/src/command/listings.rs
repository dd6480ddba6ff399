//! Arguments of the commands that list: ls, tree, find, du.

use clap::{Args, ValueEnum};
use globset::{GlobBuilder, GlobMatcher};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

use crate::size;

/// What to list and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct LsArgs {
    /// Directories and files; without any, the current directory
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Kind, size and time too
    #[arg(short)]
    pub(crate) long: bool,
    /// One name a line, also on a terminal
    #[arg(short = '1')]
    pub(crate) one_a_line: bool,
    /// The whole tree
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// What to sort by [default: name]
    #[arg(long, value_name = "KEY")]
    pub(crate) sort: Option<SortKey>,
    /// Largest first, as `--sort size`
    #[arg(short = 'S', conflicts_with_all = ["sort", "by_time"])]
    pub(crate) by_size: bool,
    /// Newest first, as `--sort time`
    #[arg(short = 't', conflicts_with = "sort")]
    pub(crate) by_time: bool,
    /// The other way round
    #[arg(short, long)]
    pub(crate) reverse: bool,
    /// Sizes in bytes
    #[arg(short, long)]
    pub(crate) bytes: bool,
}

impl LsArgs {
    /// What was asked to sort by.
    pub(crate) fn sort_key(&self) -> Option<SortKey> {
        match (self.by_size, self.by_time) {
            (true, _) => Some(SortKey::Size),
            (_, true) => Some(SortKey::Time),
            _ => self.sort,
        }
    }
}

/// What a listing is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortKey {
    /// By name
    Name,
    /// Largest first
    Size,
    /// Newest first
    Time,
}

/// What to show as a tree.
#[derive(Debug, Clone, Args)]
pub(crate) struct TreeArgs {
    /// The directory; without it, the current one
    pub(crate) path: Option<String>,
    /// No deeper than this many levels
    #[arg(long, value_name = "LEVELS", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) depth: Option<u16>,
    /// Sizes too; of directories, what all in them comes to
    #[arg(long)]
    pub(crate) size: bool,
    /// Sizes in bytes
    #[arg(short, long, requires = "size")]
    pub(crate) bytes: bool,
}

/// What to find.
#[derive(Debug, Clone, Args)]
pub(crate) struct FindArgs {
    /// Where to look; without any, in the current directory
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Whose name fits this pattern of * ? [..] {a,b}; of several, one is enough
    #[arg(long, value_name = "GLOB", value_parser = |text: &str| pattern(text, false))]
    pub(crate) name: Vec<GlobMatcher>,
    /// The same, capital and small letters alike
    #[arg(long, value_name = "GLOB", value_parser = |text: &str| pattern(text, true))]
    pub(crate) iname: Vec<GlobMatcher>,
    /// Files of more (+10M), less (-10M) or just this size (10M)
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = SizeTest::parse)]
    pub(crate) size: Vec<SizeTest>,
    /// Changed within this time (30m, 2h, 3d, 1w, 6mo) or since this day (2026-11-01)
    #[arg(long, value_name = "AGE", value_parser = moment)]
    pub(crate) newer: Option<i64>,
    /// Not changed within this time or since this day
    #[arg(long, value_name = "AGE", value_parser = moment)]
    pub(crate) older: Option<i64>,
    /// Of this kind
    #[arg(long = "type", value_name = "KIND")]
    pub(crate) kind: Option<KindArg>,
}

/// A kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    /// Files
    #[value(name = "f", alias = "file")]
    File,
    /// Directories
    #[value(name = "d", alias = "directory")]
    Directory,
}

/// What size a file must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SizeTest {
    Over(u64),
    Under(u64),
    Exactly(u64),
}

impl SizeTest {
    fn parse(text: &str) -> Result<Self, String> {
        match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(size), _) => size::parse(size).map(Self::Over),
            (_, Some(size)) => size::parse(size).map(Self::Under),
            _ => size::parse(text).map(Self::Exactly),
        }
    }

    /// Whether a file of this size is wanted.
    pub(crate) fn fits(self, size: u64) -> bool {
        match self {
            Self::Over(limit) => size > limit,
            Self::Under(limit) => size < limit,
            Self::Exactly(wanted) => size == wanted,
        }
    }
}

/// Whose sizes to add up.
#[derive(Debug, Clone, Args)]
pub(crate) struct DuArgs {
    /// Directories and files; without any, the current directory
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Only the sum of each
    #[arg(short, long)]
    pub(crate) summarize: bool,
    /// Directories no deeper than this many levels below
    #[arg(long, value_name = "LEVELS", conflicts_with = "summarize")]
    pub(crate) depth: Option<u16>,
    /// Sizes in bytes
    #[arg(short, long)]
    pub(crate) bytes: bool,
}

fn pattern(text: &str, ignore_case: bool) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).case_insensitive(ignore_case).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

/// A moment, in milliseconds since 1970: so long ago, or the beginning of a day here, or exactly said.
fn moment(text: &str) -> Result<i64, String> {
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Ok(exact.as_millisecond());
    }
    if let Ok(day) = text.parse::<DateTime>() {
        return day.to_zoned(TimeZone::system()).map(|day| day.timestamp().as_millisecond()).map_err(|e| e.to_string());
    }
    let ago = text.parse::<Span>().ok().filter(|span| span.is_positive());
    let then = ago.and_then(|ago| Zoned::now().checked_sub(ago).ok());
    then.map(|then| then.timestamp().as_millisecond())
        .ok_or_else(|| "a time such as 30m, 2h, 3d, 1w, 6mo, or a day such as 2026-11-01".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_read_as_people_write_them() {
        assert_eq!(SizeTest::parse("+10M"), Ok(SizeTest::Over(10 << 20)));
        assert_eq!(SizeTest::parse("-1k"), Ok(SizeTest::Under(1024)));
        assert_eq!(SizeTest::parse("5"), Ok(SizeTest::Exactly(5)));
        assert!(SizeTest::parse("big").is_err() && SizeTest::parse("+").is_err());
        assert!(SizeTest::Over(5).fits(6) && !SizeTest::Over(5).fits(5) && !SizeTest::Under(5).fits(5));

        let now = Timestamp::now().as_millisecond();
        let ago = |text: &str| now - moment(text).expect(text);
        for (text, ms) in [("30m", 1_800_000), ("2h", 7_200_000), ("1h30m", 5_400_000), ("90s", 90_000)] {
            assert!((ms - 1000..ms + 10_000).contains(&ago(text)), "{text}: {}", ago(text));
        }
        // Days have other lengths where clocks are changed.
        assert!((2 * 82_000_000..2 * 91_000_000).contains(&ago("2d")));
        assert!(ago("1w") > ago("6d") && ago("1mo") > ago("3w") && ago("1y") > ago("11mo"));
        assert_eq!(moment("1970-01-02T00:00Z"), Ok(86_400_000));
        assert!((moment("2026-11-01").expect("a day") - 1_793_491_200_000).abs() <= 14 * 3_600_000);
        for wrong in ["", "2", "-2d", "soon", "0d"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_fit_whole_names() {
        let fits = |glob: &str, name: &str| pattern(glob, false).expect(glob).is_match(name);
        assert!(
            fits("*.jpg", "夏天 [1].jpg") && fits("夏?*", "夏天") && fits("[ab]*", "b") && fits("*.{md,txt}", "a.md")
        );
        assert!(!fits("*.jpg", "a.jpg.part") && !fits("a", "ab") && !fits("*.JPG", "a.jpg"));
        assert!(pattern("*.JPG", true).expect("a pattern").is_match("a.jpg"));
        assert!(pattern("[", false).is_err());
    }
}
