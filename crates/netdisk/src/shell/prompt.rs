//! What stands before the cursor: who, where, and how many jobs run.

use std::io::{self, Write as _};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::escape::escape;
use crate::remote::Remote;

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;
/// Columns that a prompt may always take: a name, a host and a directory.
const COLUMNS_MIN: usize = 20;

pub(super) fn prompt(remote: &Remote, jobs: usize) -> String {
    let endpoint = remote.endpoint().to_string();
    let directory = escape(remote.directory.as_str());
    let user = remote.user().map(|user| user.as_str());
    text(user, &endpoint, &directory, jobs, columns())
}

fn columns() -> usize {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => COLUMNS,
    }
}

/// Goes to the beginning of a line: of the next one, behind a mark, where content ended in the middle of a line. The mark
/// and as many spaces as make a whole line with it wrap there; otherwise the prompt takes their place.
pub(super) fn fresh_line() -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "⏎{}\r", " ".repeat(columns() - 1))?;
    out.flush()
}

/// Half of a line at most: the path gives way first, then the server, then the end of the name.
fn text(user: Option<&str>, endpoint: &str, directory: &str, jobs: usize, columns: usize) -> String {
    let Some(user) = user else { return format!("{endpoint}> ") };
    let room = (columns / 2).max(COLUMNS_MIN);
    let jobs = if jobs == 0 { String::new() } else { format!(" [{jobs}]") };
    let last = match directory.rsplit_once('/') {
        Some((above, last)) if !above.is_empty() => format!("…/{last}"),
        _ => directory.to_owned(),
    };
    let of = |who: &str, path: &str| format!("{who}:{path}{jobs}> ");
    let full = format!("{user}@{endpoint}");
    let choices = [of(&full, directory), of(&full, &last), of(user, directory), of(user, &last)];
    match choices.into_iter().find(|prompt| prompt.width() <= room) {
        Some(prompt) => prompt,
        None => {
            let rest = of(user, "").width();
            of(user, &cut(&last, room.saturating_sub(rest).max(2)))
        }
    }
}

/// As much of the beginning as fits.
fn cut(text: &str, columns: usize) -> String {
    let mut width = 1;
    let fits = |c: &char| {
        width += c.width().unwrap_or(0);
        width <= columns
    };
    if text.width() <= columns {
        return text.to_owned();
    }
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_says_who_and_where_and_leaves_half_of_the_line() {
        let alice = |directory, jobs, columns| text(Some("alice"), "127.0.0.1:8001", directory, jobs, columns);
        assert_eq!(alice("/", 0, 80), "alice@127.0.0.1:8001:/> ");
        assert_eq!(alice("/docs/old", 2, 80), "alice@127.0.0.1:8001:/docs/old [2]> ");
        assert_eq!(alice("/photos/2026", 0, 80), "alice@127.0.0.1:8001:/photos/2026> ");
        assert_eq!(alice("/photos/2026/summer/italy", 0, 80), "alice@127.0.0.1:8001:…/italy> ");
        assert_eq!(alice("/", 0, 40), "alice:/> ");
        assert_eq!(alice("/photos/2026/summer", 1, 40), "alice:…/summer [1]> ");
        assert_eq!(alice("/photos/2026/summers", 1, 40), "alice:…/summe… [1]> ");
        assert_eq!(alice("/照片/二〇二六年的夏天", 0, 40), "alice:…/二〇二六…> ");
        assert_eq!(text(None, "127.0.0.1:8001", "/", 0, 40), "127.0.0.1:8001> ");
        for columns in 1..120 {
            let prompt = alice("/照片/a/二〇二六年的夏天 and more", 12, columns);
            assert!(prompt.width() <= (columns / 2).max(COLUMNS_MIN), "{columns}: {prompt}");
        }
    }
}
