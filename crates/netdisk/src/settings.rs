//! What is in force of a client's options, and where it comes from: option, environment, file, default, in this order.
//!
//! The file is `config.toml` in the configuration folder. Keys stand at its top, for everybody, or below
//! `[profile.NAME]`, for `--profile NAME` alone; there they win.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ArgMatches;
use clap::parser::ValueSource;
use netdisk_client::Endpoint;
use netdisk_model::UserName;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

use crate::cli::{Ca, ConnectArgs};
use crate::command::ExistingArg;
use crate::config::Config;
use crate::failure::Failure;
use crate::paint::When;

/// How many jobs run at once where nothing else is said: enough to keep a line busy while one of them waits, and few
/// enough to leave the prompt its share.
pub(crate) const JOBS_AT_ONCE: u8 = 3;

/// What may stand in the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    #[serde(deserialize_with = "parsed")]
    server: Option<Endpoint>,
    user: Option<UserName>,
    password_file: Option<PathBuf>,
    ca: Option<Ca>,
    color: Option<When>,
    put_existing: Option<ExistingArg>,
    get_existing: Option<ExistingArg>,
    #[serde(deserialize_with = "up_to_16")]
    connections: Option<u8>,
    #[serde(deserialize_with = "up_to_16")]
    jobs: Option<u8>,
    /// Read by [`Profiles`].
    profile: Option<IgnoredAny>,
}

/// The same file again, for its profiles.
#[derive(Debug, Default, Deserialize)]
struct Profiles {
    #[serde(default)]
    profile: BTreeMap<String, Keys>,
}

/// What commands take where their own options say nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Defaults {
    pub(crate) put_existing: Option<ExistingArg>,
    pub(crate) get_existing: Option<ExistingArg>,
    pub(crate) connections: Option<u8>,
}

/// One of the things that are in force.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    /// Nothing where nothing was said, and nothing is the default.
    pub(crate) value: Option<String>,
    pub(crate) origin: String,
}

/// The file of a client.
#[derive(Debug)]
pub(crate) struct SettingsFile {
    pub(crate) path: PathBuf,
    pub(crate) is_there: bool,
    top: Keys,
    profiles: BTreeMap<String, Keys>,
}

impl SettingsFile {
    /// Reads the file; one that is not there says nothing.
    pub(crate) fn read() -> Result<Self, Failure> {
        let path = Config::root().map_err(Failure::Unexpected)?.join("config.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::usage(format!("{}: {error}", path.display()))),
        };
        Self::parse(path, text.as_deref())
    }

    fn parse(path: PathBuf, text: Option<&str>) -> Result<Self, Failure> {
        let is_there = text.is_some();
        let text = text.unwrap_or_default();
        let top: Keys = from_toml(&path, text)?;
        let Profiles { profile: profiles } = from_toml(&path, text)?;
        match profiles.iter().find(|(_, keys)| keys.profile.is_some()) {
            Some((name, _)) => {
                Err(Failure::usage(format!("{}: the profile {name} has a profile in it", path.display())))
            }
            None => Ok(Self { path, is_there, top, profiles }),
        }
    }

    /// The names of the profiles that it has.
    pub(crate) fn profile_names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// The server and user that it has for a profile.
    pub(crate) fn account_of(&self, profile: &str) -> (Option<&Endpoint>, Option<&UserName>) {
        let keys = self.profiles.get(profile);
        let of = |keys: Option<&Keys>| keys.and_then(|keys| keys.server.clone());
        let server = if of(keys).is_some() { keys } else { Some(&self.top) }.and_then(|keys| keys.server.as_ref());
        let user = keys.and_then(|keys| keys.user.as_ref()).or(self.top.user.as_ref());
        (server, user)
    }

    /// Fills in what neither options nor environment said; gives all that is in force, too.
    pub(crate) fn settle(&self, matches: &ArgMatches, mut args: ConnectArgs) -> (ConnectArgs, Vec<Setting>) {
        let profile = args.profile.as_deref().and_then(|name| self.profiles.get(name).map(|keys| (name, keys)));
        let mut settling = Settling { matches, file: self, profile, settings: Vec::new() };
        if let Some(server) = settling.settle("server", Some(args.server.clone()), |keys| keys.server.clone()) {
            args.server = server;
        }
        let user = settling.settle("user", args.user, |keys| keys.user.clone());
        let password_file = settling.settle_shown(
            "password_file",
            args.password_file,
            |keys| keys.password_file.clone(),
            |path| path.display().to_string(),
        );
        // Who says for once how to know the server does not mean what the file says.
        let is_known_otherwise = args.fingerprint.is_some() || args.accept_new || args.plaintext;
        let ca = settling.settle_shown(
            "ca",
            args.ca,
            |keys| keys.ca.filter(|_| !is_known_otherwise),
            |_| "system".to_owned(),
        );
        let color = settling.settle_shown("color", Some(args.color), |keys| keys.color, name_of);
        let put_existing = settling.settle_shown("put_existing", None, |keys| keys.put_existing, name_of);
        let get_existing = settling.settle_shown("get_existing", None, |keys| keys.get_existing, name_of);
        let connections = settling.settle("connections", None, |keys| keys.connections);
        let jobs = settling.settle("jobs", args.jobs, |keys| keys.jobs);
        let mut settings = settling.settings;
        for setting in &mut settings {
            let built_in = match setting.key {
                "put_existing" => "overwrite",
                "get_existing" => "ask",
                "connections" => "4",
                "jobs" => &JOBS_AT_ONCE.to_string(),
                _ => continue,
            };
            setting.value.get_or_insert_with(|| built_in.to_owned());
        }
        let defaults = Defaults { put_existing, get_existing, connections };
        let color = color.unwrap_or_default();
        (ConnectArgs { user, password_file, ca, color, jobs, defaults, ..args }, settings)
    }
}

/// One after the other is decided, and noted.
struct Settling<'a> {
    matches: &'a ArgMatches,
    file: &'a SettingsFile,
    profile: Option<(&'a str, &'a Keys)>,
    settings: Vec<Setting>,
}

impl Settling<'_> {
    fn settle<T: Display>(
        &mut self,
        key: &'static str,
        given: Option<T>,
        in_file: impl Fn(&Keys) -> Option<T>,
    ) -> Option<T> {
        self.settle_shown(key, given, in_file, T::to_string)
    }

    fn settle_shown<T>(
        &mut self,
        key: &'static str,
        given: Option<T>,
        in_file: impl Fn(&Keys) -> Option<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        let source = self.matches.try_contains_id(key).ok().and_then(|_| self.matches.value_source(key));
        let of_profile = self.profile.and_then(|(name, keys)| Some((name, in_file(keys)?)));
        let path = self.file.path.display();
        let (value, origin) = match (source, of_profile, in_file(&self.file.top)) {
            (Some(ValueSource::CommandLine), ..) => (given, format!("--{}", key.replace('_', "-"))),
            (Some(ValueSource::EnvVariable), ..) => (given, format!("NETDISK_{}", key.to_uppercase())),
            (_, Some((name, value)), _) => (Some(value), format!("{path} [profile.{name}]")),
            (_, None, Some(value)) => (Some(value), path.to_string()),
            (_, None, None) => (given, "default".to_owned()),
        };
        self.settings.push(Setting { key, value: value.as_ref().map(show), origin });
        value
    }
}

fn from_toml<T: for<'de> Deserialize<'de>>(path: &Path, text: &str) -> Result<T, Failure> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count()) + 1;
        Failure::usage(format!("{}, line {line}: {}", path.display(), error.message()))
    })
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

/// As many as `--connections` and `--jobs` take.
fn up_to_16<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    match u8::deserialize(deserializer)? {
        number @ 1..=16 => Ok(Some(number)),
        _ => Err(D::Error::custom("a number from 1 to 16")),
    }
}

/// A value as the command line has it.
fn name_of<T: clap::ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    const TEXT: &str = "server = \"nas\"\nuser = \"alice\"\nca = \"system\"\nput_existing = \"newer\"\n\n\
                        [profile.work]\nserver = \"files.example.org:9000\"\ncolor = \"never\"\n";

    fn settle(text: &str, args: &[&str]) -> (ConnectArgs, Vec<String>) {
        let file = SettingsFile::parse("config.toml".into(), Some(text)).expect("a file");
        let (matches, parsed) = cli::parse(&[&["netdisk"], args].concat()).expect("a command line");
        let (args, settings) = file.settle(&matches, parsed.connect);
        let shown = settings
            .iter()
            .map(|Setting { key, value, origin }| format!("{key} {} {origin}", value.as_deref().unwrap_or("-")));
        (args, shown.collect())
    }

    #[test]
    fn options_win_over_profiles_over_the_top_over_defaults() {
        let (args, shown) = settle(TEXT, &["--profile", "work", "--user", "bob"]);
        assert_eq!(args.server.to_string(), "files.example.org:9000");
        assert_eq!((args.color, args.defaults.put_existing), (When::Never, Some(ExistingArg::Newer)));
        assert_eq!(
            shown,
            [
                "server files.example.org:9000 config.toml [profile.work]",
                "user bob --user",
                "password_file - default",
                "ca system config.toml",
                "color never config.toml [profile.work]",
                "put_existing newer config.toml",
                "get_existing ask default",
                "connections 4 default",
                "jobs 3 default",
            ]
        );
        let (args, shown) = settle("", &["ls"]);
        assert_eq!(args.server.to_string(), "127.0.0.1:8001");
        assert!(shown.contains(&"server 127.0.0.1:8001 default".to_owned()), "{shown:?}");
    }

    #[test]
    fn how_many_jobs_run_at_once_is_an_option_a_key_or_the_default() {
        let in_force = |text: &str, args: &[&str]| {
            let (args, shown) = settle(text, args);
            (args.jobs, shown.into_iter().find(|line| line.starts_with("jobs")).expect("it is said"))
        };
        let text = "jobs = 2\n[profile.work]\njobs = 16\n";
        assert_eq!(in_force(text, &["--jobs", "1"]), (Some(1), "jobs 1 --jobs".to_owned()));
        assert_eq!(in_force(text, &["shell", "--jobs", "5"]), (Some(5), "jobs 5 --jobs".to_owned()));
        assert_eq!(in_force(text, &[]), (Some(2), "jobs 2 config.toml".to_owned()));
        assert_eq!(in_force(text, &["--profile", "work"]).0, Some(16));
        assert_eq!(in_force("", &[]), (None, "jobs 3 default".to_owned()));
    }

    #[test]
    fn an_authority_of_the_file_gives_way_to_another_way_to_know_the_server() {
        assert_eq!(settle(TEXT, &["--accept-new"]).0.ca, None);
        assert_eq!(settle(TEXT, &[]).0.ca, Some(Ca::System));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, named) in [
            ("user = \"a\"\nservr = \"x\"", "line 2: unknown field `servr`"),
            ("[profile.a]\nusr = \"x\"", "line 2: unknown field `usr`"),
            ("server = \"::1\"", "line 1: a server is HOST or HOST:PORT"),
            ("user = \"Not A Name\"", "line 1: "),
            ("color = \"sometimes\"", "line 1: unknown variant `sometimes`"),
            ("put_existing = 5", "line 1: "),
            ("connections = 17", "line 1: a number from 1 to 16"),
            ("jobs = 0", "line 1: a number from 1 to 16"),
            ("\njobs = \"many\"", "line 2: invalid type: string \"many\""),
            ("server", "line 1: "),
            ("[profile.a.profile.b]\nuser = \"x\"", "the profile a has a profile in it"),
        ] {
            let failure = SettingsFile::parse("config.toml".into(), Some(text)).expect_err(text);
            assert_eq!(failure.code(), 2);
            let said = failure.to_string();
            assert!(said.starts_with("config.toml") && said.contains(named), "{text}: {said}");
        }
    }
}
