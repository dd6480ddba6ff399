//! A path in a user's tree: one parser for every door and for the client.
//!
//! The parser refuses and never repairs: what it accepts has one spelling, so that two different texts never
//! name one file. Resolving what a person types (`..`, relative paths) is [`RemotePath::resolve`]; it ends in the
//! same parser.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Longest component in bytes: what Linux file systems take (NAME_MAX).
pub const COMPONENT_LEN_MAX: usize = 255;
/// Longest path in bytes: Linux's PATH_MAX.
pub const PATH_LEN_MAX: usize = 4096;
/// Most components in a path: bounds the work and the handles of a recursive walk.
pub const DEPTH_MAX: usize = 64;

/// A path from the root of a home: `/`, or components that each follow a `/`.
///
/// Components are UTF-8 in normalisation form C, 1 to [`COMPONENT_LEN_MAX`] bytes, neither `.` nor `..`, without
/// control characters and backslashes; at most [`DEPTH_MAX`] of them, at most [`PATH_LEN_MAX`] bytes in all.
///
/// ```
/// use netdisk_model::RemotePath;
///
/// let path: RemotePath = "/photos/夏天.jpg".parse()?;
/// assert_eq!(path.name(), Some("夏天.jpg"));
/// assert!("/photos/../../etc/passwd".parse::<RemotePath>().is_err());
/// # Ok::<(), netdisk_model::PathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemotePath(String);

/// Why a text is no [`RemotePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The first character is not `/`.
    #[error("a path begins with `/`")]
    NotRooted,
    /// Two slashes in a row, or one at the end.
    #[error("a path has no empty component (`//`, or a `/` at its end)")]
    EmptyComponent,
    /// `.` or `..` as a component.
    #[error("a path has no component `.` or `..`")]
    DotComponent,
    /// A backslash, a NUL or another control character.
    #[error("a path has no control character and no backslash")]
    BadCharacter,
    /// Not in normalisation form C.
    #[error("a path is in Unicode normalisation form C")]
    NotNormalised,
    /// A component over [`COMPONENT_LEN_MAX`].
    #[error("a component of a path is at most {COMPONENT_LEN_MAX} bytes long")]
    ComponentTooLong,
    /// More than [`PATH_LEN_MAX`] bytes.
    #[error("a path is at most {PATH_LEN_MAX} bytes long")]
    TooLong,
    /// More than [`DEPTH_MAX`] components.
    #[error("a path has at most {DEPTH_MAX} components")]
    TooDeep,
    /// `..` where nothing is left to climb out of.
    #[error("`..` leads out of the home")]
    AboveRoot,
}

impl RemotePath {
    /// The root of the home, `/`.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Resolves what a person typed in the directory `self`: absolute or relative, with `.`, `..`, doubled and
    /// trailing slashes, in any normalisation form.
    ///
    /// # Errors
    /// [`PathError::AboveRoot`] when `..` climbs out; otherwise what the parser refuses.
    pub fn resolve(&self, typed: &str) -> Result<Self, PathError> {
        let typed: String = typed.nfc().collect();
        let mut components: Vec<&str> = if typed.starts_with('/') { Vec::new() } else { self.components().collect() };
        for component in typed.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    components.pop().ok_or(PathError::AboveRoot)?;
                }
                name => components.push(name),
            }
        }
        format!("/{}", components.join("/")).parse()
    }

    /// Appends one component.
    ///
    /// # Errors
    /// When `name` is no component, or the path grows too long or too deep.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        if name.contains('/') {
            return Err(PathError::BadCharacter);
        }
        if self.is_root() { format!("/{name}").parse() } else { format!("{self}/{name}").parse() }
    }

    /// The directory that this path stands in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rfind('/') {
            _ if self.is_root() => None,
            Some(0) => Some(Self::root()),
            Some(slash) => Some(Self(self.0[..slash].to_owned())),
            None => None,
        }
    }

    /// The last component; `None` for the root.
    pub fn name(&self) -> Option<&str> {
        self.components().next_back()
    }

    /// The components in order; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|component| !component.is_empty())
    }

    /// How many components there are.
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// Tells whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// Tells whether this path stands in `directory`, at any depth; no path stands in itself.
    pub fn is_within(&self, directory: &Self) -> bool {
        self != directory
            && (directory.is_root() || self.0.strip_prefix(&directory.0).is_some_and(|rest| rest.starts_with('/')))
    }

    /// The path as text, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its leading slash, for calls relative to a directory handle; `.` for the root.
    pub fn as_relative(&self) -> &str {
        if self.is_root() { "." } else { &self.0[1..] }
    }
}

fn check_component(component: &str) -> Result<(), PathError> {
    match component {
        "" => Err(PathError::EmptyComponent),
        "." | ".." => Err(PathError::DotComponent),
        _ if component.len() > COMPONENT_LEN_MAX => Err(PathError::ComponentTooLong),
        // `char::is_control` is C0, DEL and C1.
        _ if component.chars().any(|c| c.is_control() || c == '\\') => Err(PathError::BadCharacter),
        _ => Ok(()),
    }
}

impl FromStr for RemotePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.len() > PATH_LEN_MAX {
            return Err(PathError::TooLong);
        }
        let rest = text.strip_prefix('/').ok_or(PathError::NotRooted)?;
        if rest.is_empty() {
            return Ok(Self::root());
        }
        rest.split('/').try_for_each(check_component)?;
        if rest.split('/').count() > DEPTH_MAX {
            return Err(PathError::TooDeep);
        }
        if !is_nfc(text) {
            return Err(PathError::NotNormalised);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for RemotePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl Serialize for RemotePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RemotePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<RemotePath, PathError> {
        text.parse()
    }

    #[test]
    fn hostile_paths_are_refused_each_for_its_reason() {
        use PathError::*;
        let cases: &[(&str, PathError)] = &[
            ("", NotRooted),
            ("a", NotRooted),
            ("../etc/passwd", NotRooted),
            ("C:\\x", NotRooted),
            ("/..", DotComponent),
            ("/a/../b", DotComponent),
            ("/.", DotComponent),
            ("//etc/passwd", EmptyComponent),
            ("/a//b", EmptyComponent),
            ("/a/", EmptyComponent),
            ("/a\0b", BadCharacter),
            ("/a\nb", BadCharacter),
            ("/a\u{1b}[2J", BadCharacter),
            ("/a\u{7f}", BadCharacter),
            ("/a\u{85}", BadCharacter),
            ("/a\\..\\b", BadCharacter),
            ("/e\u{301}", NotNormalised),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text), Err(*error), "{text:?}");
        }
    }

    #[test]
    fn people_may_name_files_as_they_like() {
        for text in ["/a b", "/[x]", "/it's \"here\"", "/文件.txt", "/🎉", "/...", "/.hidden", "/-rf", "/．．"] {
            assert_eq!(parse(text).map(|path| path.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn limits_hold_at_the_edge() {
        let component = |len: usize| format!("/{}", "x".repeat(len));
        assert!(parse(&component(COMPONENT_LEN_MAX)).is_ok());
        assert_eq!(parse(&component(COMPONENT_LEN_MAX + 1)), Err(PathError::ComponentTooLong));
        assert!(parse(&"/x".repeat(DEPTH_MAX)).is_ok());
        assert_eq!(parse(&"/x".repeat(DEPTH_MAX + 1)), Err(PathError::TooDeep));
        let long = component(COMPONENT_LEN_MAX).repeat(PATH_LEN_MAX / (COMPONENT_LEN_MAX + 1));
        assert_eq!(long.len(), PATH_LEN_MAX);
        assert!(parse(&long).is_ok());
        assert_eq!(parse(&format!("{long}x")), Err(PathError::TooLong));
    }

    #[test]
    fn typed_paths_resolve_like_in_a_shell() {
        let cwd = parse("/a/b").expect("a path");
        for (typed, resolved) in
            [("c", "/a/b/c"), ("../c/", "/a/c"), ("/", "/"), ("", "/a/b"), ("./x//y", "/a/b/x/y"), ("../..", "/")]
        {
            assert_eq!(cwd.resolve(typed).map(|path| path.to_string()), Ok(resolved.to_owned()), "{typed}");
        }
        assert_eq!(cwd.resolve("../../.."), Err(PathError::AboveRoot));
        assert_eq!(cwd.resolve("e\u{301}"), parse("/a/b/\u{e9}"));
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_not_within() {
        let path = |text| parse(text).expect("a path");
        assert!(path("/a/b").is_within(&path("/a")));
        assert!(path("/a").is_within(&path("/")));
        assert!(!path("/ab").is_within(&path("/a")));
        assert!(!path("/a").is_within(&path("/a")));
        assert!(!path("/").is_within(&path("/")));
    }

    proptest! {
        #[test]
        fn parse_and_print_are_inverse(text in any::<String>()) {
            for text in [format!("/{text}"), text] {
                if let Ok(path) = parse(&text) {
                    prop_assert_eq!(path.as_str(), &text);
                }
            }
        }

        #[test]
        fn no_accepted_path_climbs(text in "/?([./\\\\a]|\\.\\.|\u{ff0e}){0,12}") {
            if let Ok(path) = parse(&text) {
                prop_assert!(path.components().all(|component| component != ".." && component != "."));
                prop_assert!(!path.as_relative().starts_with('/'));
            }
        }

        #[test]
        fn parent_and_name_rebuild_the_path(names in prop::collection::vec("[a-z é夏.]{1,8}", 1..6)) {
            let text = format!("/{}", names.join("/"));
            if let Ok(path) = parse(&text) {
                let parent = path.parent().expect("not the root");
                prop_assert_eq!(parent.join(path.name().expect("not the root")), Ok(path));
            }
        }
    }
}
