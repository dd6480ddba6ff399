//! Colours: whether they are wanted, and text in which only our own escapes move the terminal.

use std::fmt;
use std::io::{self, IsTerminal as _};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use netdisk_model::EntryKind;
use unicode_width::UnicodeWidthStr as _;

use crate::escape::escape;

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum When {
    /// On a terminal that knows them, unless NO_COLOR is set
    #[default]
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

impl When {
    /// Whether standard output gets colours (<https://no-color.org>).
    pub(crate) fn is_wanted(self) -> bool {
        match self {
            Self::Auto => {
                let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
                io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
            }
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// A line that is safe for a terminal: each part was escaped before it was painted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Safe {
    text: String,
    columns: usize,
}

impl Safe {
    /// Text without colours, which may be somebody else's.
    pub(crate) fn plain(text: &str) -> Self {
        let mut safe = Self::default();
        safe.push(text, Style::new());
        safe
    }

    /// Goes on with text in a style.
    pub(crate) fn push(&mut self, text: &str, style: Style) {
        let text = escape(text);
        self.columns += text.width();
        self.text.push_str(&format!("{style}{text}{style:#}"));
    }

    /// Goes on with text that is safe already.
    pub(crate) fn append(&mut self, other: &Self) {
        self.text.push_str(&other.text);
        self.columns += other.columns;
    }

    /// Goes on with blanks up to a column.
    pub(crate) fn fill_to(&mut self, column: usize) {
        let blanks = column.saturating_sub(self.columns);
        self.text.push_str(&" ".repeat(blanks));
        self.columns += blanks;
    }

    /// How many columns it takes on a terminal.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }
}

impl fmt::Display for Safe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// How the name of such a thing looks where there are colours.
pub(crate) fn style_of(kind: EntryKind) -> Style {
    match kind {
        EntryKind::File => Style::new(),
        EntryKind::Directory => AnsiColor::Blue.on_default().bold(),
        EntryKind::Other => AnsiColor::Yellow.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escapes_of_others_do_not_get_through_and_wide_letters_count_twice() {
        let mut line = Safe::plain("a\u{1b}[31m ");
        line.push("夏天/", style_of(EntryKind::Directory));
        assert_eq!(line.to_string(), "a\\u{1b}[31m \u{1b}[1m\u{1b}[34m夏天/\u{1b}[0m");
        assert_eq!(line.columns(), "a\\u{1b}[31m ".len() + 5);
        assert_eq!(Safe::plain("plain").to_string(), "plain");
    }
}
