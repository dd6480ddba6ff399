//! The scanner and the writer, and the law that binds them.

use proptest::prelude::*;

use super::*;

fn words(line: &str) -> Vec<String> {
    match lex(line) {
        Ok(Line::Command { words, background: false }) => words.iter().map(Word::text).collect(),
        other => panic!("{line:?} is {other:?}"),
    }
}

#[test]
fn quotes_make_one_word_of_what_they_hold() {
    for (line, read) in [
        ("ls", &["ls"][..]),
        ("  put  a\tb ", &["put", "a", "b"]),
        ("put 'a b' \"c d\" e\\ f", &["put", "a b", "c d", "e f"]),
        ("put 'it'\\''s' \"it's \\\"here\\\"\"", &["put", "it's", "it's \"here\""]),
        ("put '' \"\"", &["put", "", ""]),
        ("put '夏天 [1].jpg' 🎉", &["put", "夏天 [1].jpg", "🎉"]),
        ("put a#b # and this is said", &["put", "a#b"]),
        ("put '#a' \\#b", &["put", "#a", "#b"]),
        ("put \"a\\b\\\\c\" 'd\\e'", &["put", "a\\b\\c", "d\\e"]),
        ("put \\u{1b}[2J \"\\u{590F}\" '\\u{1b}'", &["put", "\u{1b}[2J", "夏", "\\u{1b}"]),
        ("put \\u \\u{ \\u{d800} \\u{0000041}", &["put", "u", "u{", "u{d800}", "u{0000041}"]),
        ("put a&b '&'", &["put", "a&b", "&"]),
        ("put x\u{3000}y", &["put", "x\u{3000}y"]),
    ] {
        assert_eq!(words(line), read, "{line}");
    }
}

#[test]
fn a_line_may_ask_for_nothing_for_this_machine_or_for_a_job() {
    for line in ["", "   ", "# said", "  # said"] {
        assert_eq!(lex(line), Ok(Line::Nothing), "{line:?}");
    }
    assert_eq!(lex(" !ls 'a b' | wc &"), Ok(Line::Local("ls 'a b' | wc &".to_owned())));
    for line in ["put a &", "put a&", "put a & # beside the prompt", "put a&  "] {
        let words = vec![Word::unquoted("put"), Word::unquoted("a")];
        assert_eq!(lex(line), Ok(Line::Command { words, background: true }), "{line:?}");
    }
    assert!(matches!(lex("put a '&'"), Ok(Line::Command { background: false, .. })));
    assert!(matches!(lex("put a \\&"), Ok(Line::Command { background: false, .. })));
    assert!(matches!(lex("put '' &"), Ok(Line::Command { words, background: true }) if words.len() == 2));
    assert_eq!(lex(" & "), Err(LexError::NoCommand));
}

#[test]
fn what_is_not_finished_is_said() {
    assert_eq!(lex("ls 'a"), Err(LexError::OpenQuote));
    assert_eq!(lex("ls \"a'"), Err(LexError::OpenQuote));
    assert_eq!(lex("ls a\\"), Err(LexError::OpenEscape));
}

#[test]
fn a_quoted_glob_is_a_name() {
    let is_glob = |line: &str| match lex(line) {
        Ok(Line::Command { words, .. }) => words[0].is_glob(),
        other => panic!("{other:?}"),
    };
    for line in ["*.jpg", "a?", "[ab]", "a/*/b", "**", "'a b'*", "a**b"] {
        assert!(is_glob(line), "{line}");
    }
    for line in ["a", "'*.jpg'", "\"a?\"", "\\[ab]", "a\\*", "[a", "a]", "[a/b]"] {
        assert!(!is_glob(line), "{line}");
    }
}

#[test]
fn a_pattern_takes_what_was_quoted_as_it_stands() {
    let pattern = |line: &str| match lex(line) {
        Ok(Line::Command { words, .. }) => {
            words[0].components().map(|component| component.pattern()).collect::<Vec<_>>().join("/")
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(pattern("'[1]'*"), "[[]1[]]*");
    assert_eq!(pattern("a**b/**"), "a*b/*");
    let matches = |line: &str, name: &str| glob::Pattern::new(&pattern(line)).expect("a pattern").matches(name);
    assert!(matches("夏?.jpg", "夏天.jpg") && !matches("夏?.jpg", "夏天天.jpg"));
    assert!(matches("[夏冬]天", "冬天") && matches("[!a-c]", "🎉"));
    assert!(matches("'[1] '*", "[1] x") && !matches("'[1] '*", "1 x"));
}

#[test]
fn the_word_at_the_cursor_is_understood_while_it_is_typed() {
    let cursor = |line: &str| lex_to_cursor(line).expect("a word may stand here");
    let at = cursor("get 'my do");
    assert_eq!((at.words.len(), at.word.text(), at.start, at.quote), (1, "my do".to_owned(), 4, Quote::Single));
    let at = cursor("get a\\");
    assert_eq!((at.word.text(), at.start, at.understood, at.quote), ("a".to_owned(), 4, 5, Quote::Plain));
    for line in ["get a\\u", "get a\\u{", "get a\\u{1b"] {
        assert_eq!(cursor(line).understood, 5, "{line}");
    }
    let at = cursor("get ");
    assert_eq!((at.words.len(), at.word.text(), at.start), (1, String::new(), 4));
    let at = cursor("get \"");
    assert_eq!((at.word.text(), at.start, at.understood, at.quote), (String::new(), 4, 5, Quote::Double));
    assert_eq!(lex_to_cursor("!ls a"), None);
    assert_eq!(lex_to_cursor("get # a"), None);
}

/// How one character of a name can be typed.
fn type_character(c: char, style: u8, quote: &mut Quote, line: &mut String) {
    let wanted = [Quote::Plain, Quote::Single, Quote::Double][usize::from(style % 3)];
    if *quote != wanted {
        line.push_str(close(*quote));
        line.push_str(close(wanted));
        *quote = wanted;
    }
    match (wanted, c) {
        (Quote::Plain, _) if c.is_alphanumeric() && style < 128 => line.push(c),
        (Quote::Plain, '\n') => line.push_str("\\u{a}"),
        (Quote::Plain, 'u') => line.push_str("\\u{75}"),
        (Quote::Plain, c) => line.extend(['\\', c]),
        (Quote::Single, '\'') => line.push_str("'\\''"),
        (Quote::Single, c) => line.push(c),
        (Quote::Double, '"' | '\\') => line.extend(['\\', c]),
        (Quote::Double, c) => line.push(c),
    }
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[^/\0]{1,12}", "[ '\"\\\\*?\\[\\]&#~!$`u{}a-c1夏🎉\u{301}\u{200d}\u{202e}\u{1b}-]{1,12}",]
}

proptest! {
    /// Whatever stands before the cursor, in whatever quotes: what is written behind it makes the name whole.
    #[test]
    fn what_is_written_behind_the_cursor_reads_back(
        name in names(), cut in 0_usize..13, styles in prop::collection::vec(any::<u8>(), 12), half in any::<bool>(),
    ) {
        let cut = cut.min(name.chars().count());
        let typed: String = name.chars().take(cut).collect();
        let rest: String = name.chars().skip(cut).collect();
        let mut line = "get ".to_owned();
        let mut quote = Quote::Plain;
        for (c, style) in typed.chars().zip(styles) {
            type_character(c, style, &mut quote, &mut line);
        }
        // The first half of an escape: it is given up.
        if half && quote != Quote::Single {
            line.push('\\');
        }
        let cursor = lex_to_cursor(&line).expect("a word stands here");
        prop_assert_eq!(cursor.word.text(), typed.clone());
        line.truncate(cursor.understood);
        line.push_str(&quote_rest(&rest, typed.chars().next_back(), cursor.quote));
        line.push_str(close(cursor.quote));
        prop_assert_eq!(words(&(line + " ")), vec!["get".to_owned(), name]);
    }

    #[test]
    fn a_word_that_is_written_reads_back(name in names()) {
        let written = quote_rest(&name, None, Quote::Plain);
        prop_assert_eq!(words(&format!("get {written} {written}")), vec!["get".to_owned(), name.clone(), name]);
        prop_assert!(!written.chars().any(char::is_control));
    }

    #[test]
    fn no_line_breaks_the_scanner(line in any::<String>()) {
        if let Some(cursor) = lex_to_cursor(&line) {
            prop_assert!(cursor.start <= cursor.understood && cursor.understood <= line.len());
        }
        drop(lex(&line));
    }
}
