//! Text of others, made safe for a terminal.
//!
//! A server's names and messages may hold anything. What could move the cursor, change colours or the order of letters
//! is shown as an escape; Chinese stays Chinese and an emoji an emoji.

use std::borrow::Cow;

/// Replaces C0, DEL, C1, bidirectional and invisible characters by `\u{..}`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let mut previous = None;
    let mut escaped = String::new();
    let mut clean = true;
    for c in text.chars() {
        if is_unsafe(c, previous) {
            clean = false;
            escaped.extend(c.escape_unicode());
        } else {
            escaped.push(c);
        }
        previous = Some(c);
    }
    if clean { Cow::Borrowed(text) } else { Cow::Owned(escaped) }
}

/// The same inside JSON, whose own escapes leave C1, bidirectional and invisible characters as they are.
pub(crate) fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        // Outside strings JSON has ASCII alone, and inside them a joiner may stay: scripts compare names.
        if c != '\u{200d}' && is_unsafe(c, None) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Whether a character could move a terminal, or hide; `previous` stands before it.
pub(crate) fn is_unsafe(c: char, previous: Option<char>) -> bool {
    match c {
        // A joiner inside an emoji sequence is part of the picture; between letters it only hides a difference.
        '\u{200d}' => !previous.is_some_and(|previous| previous >= '\u{2190}' && !previous.is_alphanumeric()),
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{ffa0}' | '\u{e0000}'..='\u{e007f}' => true,
        '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_stays() {
        for text in ["a b", "夏天 [1].jpg", "🎉", "👩‍👧", "❤️", "it's \"here\"", "élise", "عربي"] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn what_moves_a_terminal_is_escaped() {
        assert_eq!(escape("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(escape("a\nb\r"), "a\\u{a}b\\u{d}");
        assert_eq!(escape("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
        assert_eq!(escape("txt.\u{202e}exe"), "txt.\\u{202e}exe");
        assert_eq!(escape_json("[\"\u{9b}\u{202e}夏\"]"), r#"["\u009b\u202e夏"]"#);
        assert_eq!(escape("a\u{200d}b\u{200b}"), "a\\u{200d}b\\u{200b}");
    }
}
