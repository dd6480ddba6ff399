//! Writing words so that the scanner reads them back.

use super::Quote;
use crate::escape::is_unsafe;

/// Writes what follows `previous` in a word whose cursor stands in `quote`, and leaves it standing there. What would move
/// a terminal is written as its number.
pub(crate) fn quote_rest(rest: &str, mut previous: Option<char>, quote: Quote) -> String {
    let mut written = String::new();
    for c in rest.chars() {
        let number = is_unsafe(c, previous).then(|| c.escape_unicode());
        match (quote, number) {
            (Quote::Plain | Quote::Double, Some(number)) => written.extend(number),
            (Quote::Single, Some(number)) => {
                written.push('\'');
                written.extend(number);
                written.push('\'');
            }
            (Quote::Plain, None) => {
                // Where they begin a word they mean something; a `!` does where it begins a line.
                let at_start = previous.is_none() && "#~!".contains(c);
                if at_start || " '\"\\*?[&".contains(c) {
                    written.push('\\');
                }
                written.push(c);
            }
            (Quote::Single, None) if c == '\'' => written.push_str("'\\''"),
            (Quote::Double, None) if "\"\\".contains(c) => written.extend(['\\', c]),
            (_, None) => written.push(c),
        }
        previous = Some(c);
    }
    written
}

/// Ends a word.
pub(crate) fn close(quote: Quote) -> &'static str {
    match quote {
        Quote::Plain => "",
        Quote::Single => "'",
        Quote::Double => "\"",
    }
}
