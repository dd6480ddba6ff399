//! A word of a command, and which of its characters mean more than themselves.

/// A word: its characters, and whether each was quoted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Word {
    letters: Vec<Letter>,
    /// Whether quotes stood in it, even with nothing between them.
    quoted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Letter {
    c: char,
    quoted: bool,
}

impl Word {
    /// A word of which nothing is quoted: an argument of the process.
    pub(crate) fn unquoted(text: &str) -> Self {
        Self { letters: text.chars().map(|c| Letter { c, quoted: false }).collect(), quoted: false }
    }

    pub(super) fn push(&mut self, c: char, quoted: bool) {
        self.letters.push(Letter { c, quoted });
    }

    pub(super) fn mark_quoted(&mut self) {
        self.quoted = true;
    }

    /// Whether there is nothing in it, not even quotes.
    pub(super) fn is_bare(&self) -> bool {
        self.letters.is_empty() && !self.quoted
    }

    /// Takes an `&` off its end, if one stands there unquoted.
    pub(super) fn take_ampersand(&mut self) -> bool {
        self.letters.pop_if(|last| last.c == '&' && !last.quoted).is_some()
    }

    /// The characters alone.
    pub(crate) fn text(&self) -> String {
        self.letters.iter().map(|letter| letter.c).collect()
    }

    /// Whether it begins with this character, unquoted.
    pub(crate) fn begins_with(&self, c: char) -> bool {
        self.letters.first() == Some(&Letter { c, quoted: false })
    }

    /// Whether one of its components may stand for several names.
    pub(crate) fn is_glob(&self) -> bool {
        self.components().any(|component| component.is_glob())
    }

    /// What stands between its slashes.
    pub(crate) fn components(&self) -> impl Iterator<Item = Component<'_>> {
        self.letters.split(|letter| letter.c == '/').map(Component)
    }
}

/// What stands between two slashes of a word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Component<'a>(&'a [Letter]);

impl Component<'_> {
    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The characters alone.
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|letter| letter.c).collect()
    }

    /// Whether it may stand for several names: a bracket that is not closed is a name.
    pub(crate) fn is_glob(&self) -> bool {
        self.0.iter().any(|letter| !letter.quoted && "*?[".contains(letter.c))
            && glob::Pattern::new(&self.pattern()).is_ok()
    }

    /// Whether it stands for directories at any depth.
    pub(crate) fn is_any_depth(&self) -> bool {
        let any = Letter { c: '*', quoted: false };
        self.0 == [any, any]
    }

    /// The pattern: what was quoted stands for itself. Two stars that are not alone are as good as one.
    pub(crate) fn pattern(&self) -> String {
        let mut pattern = String::new();
        let mut after_star = false;
        for letter in self.0 {
            let star = letter.c == '*' && !letter.quoted;
            match letter.c {
                _ if star && after_star => {}
                '*' | '?' | '[' | ']' if letter.quoted => pattern.extend(['[', letter.c, ']']),
                c => pattern.push(c),
            }
            after_star = star;
        }
        pattern
    }
}
