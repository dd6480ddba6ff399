//! The configuration folder: pins, logins and history of one profile.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use etcetera::BaseStrategy as _;
use netdisk_client::Endpoint;
use netdisk_model::{Fingerprint, Token, UserName};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

/// How long another process may hold the files: it only reads and writes some lines.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks at the lock.
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

/// The files of one profile. Nothing is read or made before it is needed.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    folder: PathBuf,
}

/// A login that was kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) user: UserName,
    pub(crate) token: Token,
}

/// By what a server is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum Pin {
    /// Its key has this fingerprint.
    Key(Fingerprint),
    /// An authority that the system knows vouches for its certificate.
    System,
}

impl std::fmt::Display for Pin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(fingerprint) => fingerprint.fmt(out),
            Self::System => out.write_str("ca:system"),
        }
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

impl TryFrom<String> for Pin {
    type Error = netdisk_model::FingerprintError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "ca:system" { Ok(Self::System) } else { text.parse().map(Self::Key) }
    }
}

type Pins = BTreeMap<String, Pin>;
type Logins = BTreeMap<String, LoginsOfServer>;

/// The logins that were kept for one server.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LoginsOfServer {
    /// Who logged in last and has not logged out since.
    current: Option<UserName>,
    kept: Vec<Login>,
}

impl Config {
    /// Where everything of this program is: in `NETDISK_HOME`, otherwise where the platform keeps configuration.
    pub(crate) fn root() -> anyhow::Result<PathBuf> {
        match std::env::var_os("NETDISK_HOME").filter(|home| !home.is_empty()) {
            Some(home) => Ok(PathBuf::from(home)),
            None => Ok(etcetera::choose_base_strategy()
                .context("there is no home directory; set NETDISK_HOME")?
                .config_dir()
                .join("netdisk")),
        }
    }

    /// The folder of `profile`.
    pub(crate) fn locate(profile: Option<&str>) -> anyhow::Result<Self> {
        let root = Self::root()?;
        let folder = match profile {
            Some(profile) => root.join("profiles").join(profile),
            None => root,
        };
        Ok(Self { folder })
    }

    /// The profiles that have a folder, by name.
    pub(crate) fn profile_names() -> anyhow::Result<Vec<String>> {
        let folder = Self::root()?.join("profiles");
        let found = match fs::read_dir(&folder) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).context(folder.display().to_string()),
        };
        let names = found.flatten().filter_map(|found| found.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    /// Where the files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the shell keeps its history; the folder is there.
    pub(crate) fn history(&self) -> io::Result<PathBuf> {
        make_private(&self.folder)?;
        Ok(self.folder.join("history"))
    }

    /// Where the pins are kept.
    pub(crate) fn pins_path(&self) -> PathBuf {
        self.folder.join("pins.json")
    }

    /// By what a server was known at first contact.
    pub(crate) fn pin(&self, endpoint: &Endpoint) -> anyhow::Result<Option<Pin>> {
        Ok(self.pins()?.get(&endpoint.to_string()).copied())
    }

    /// All servers that are known.
    pub(crate) fn pins(&self) -> anyhow::Result<Pins> {
        read(&self.pins_path())
    }

    /// Remembers a server, unless it is known; gives by what it is known now.
    pub(crate) fn set_pin(&self, endpoint: &Endpoint, pin: Pin) -> anyhow::Result<Pin> {
        let _lock = self.lock()?;
        let mut pins = self.pins()?;
        let known = *pins.entry(endpoint.to_string()).or_insert(pin);
        self.write(&self.pins_path(), &pins)?;
        Ok(known)
    }

    /// Forgets a server; false when it was not known.
    pub(crate) fn forget_pin(&self, endpoint: &Endpoint) -> anyhow::Result<bool> {
        let _lock = self.lock()?;
        let mut pins = self.pins()?;
        let was_known = pins.remove(&endpoint.to_string()).is_some();
        self.write(&self.pins_path(), &pins)?;
        Ok(was_known)
    }

    /// The login that was kept for a server: of `user`, or of whoever logged in last and has not logged out since.
    pub(crate) fn login(&self, server: &str, user: Option<&UserName>) -> anyhow::Result<Option<Login>> {
        let of_server = read::<Logins>(&self.logins_path())?.remove(server).unwrap_or_default();
        let user = user.or(of_server.current.as_ref());
        Ok(of_server.kept.iter().find(|login| Some(&login.user) == user).cloned())
    }

    /// Of whom a login is kept for a server.
    pub(crate) fn users(&self, server: &str) -> anyhow::Result<Vec<UserName>> {
        let of_server = read::<Logins>(&self.logins_path())?.remove(server).unwrap_or_default();
        Ok(of_server.kept.into_iter().map(|login| login.user).collect())
    }

    /// Remembers a login; gives the one that it replaces.
    pub(crate) fn set_login(&self, server: &str, login: Login) -> anyhow::Result<Option<Login>> {
        let _lock = self.lock()?;
        let mut logins = read::<Logins>(&self.logins_path())?;
        let of_server = logins.entry(server.to_owned()).or_default();
        let replaced = of_server.kept.iter().position(|known| known.user == login.user);
        let replaced = replaced.map(|at| of_server.kept.remove(at));
        of_server.current = Some(login.user.clone());
        of_server.kept.push(login);
        self.write(&self.logins_path(), &logins)?;
        Ok(replaced)
    }

    /// Forgets a login. Nobody else takes its place unasked.
    pub(crate) fn forget_login(&self, server: &str, user: &UserName) -> anyhow::Result<()> {
        let _lock = self.lock()?;
        let mut logins = read::<Logins>(&self.logins_path())?;
        if let Some(of_server) = logins.get_mut(server) {
            of_server.kept.retain(|known| known.user != *user);
            of_server.current.take_if(|current| current == user);
        }
        self.write(&self.logins_path(), &logins)
    }

    fn logins_path(&self) -> PathBuf {
        self.folder.join("logins.json")
    }

    /// Keeps other processes from changing these files between a reading and a writing; until it is dropped.
    fn lock(&self) -> anyhow::Result<File> {
        make_private(&self.folder).with_context(|| self.folder.display().to_string())?;
        let path = self.folder.join("lock");
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        let began = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::WOULDBLOCK) if began.elapsed() < LOCK_TIMEOUT => {
                    std::thread::park_timeout(LOCK_INTERVAL);
                }
                Err(error) => return Err(error).with_context(|| format!("{} cannot be locked", path.display())),
            }
        }
    }

    /// Writes a file that only its owner can read, whole or not at all.
    fn write<T: Serialize>(&self, path: &Path, value: &T) -> anyhow::Result<()> {
        let write = || -> io::Result<()> {
            make_private(&self.folder)?;
            let staged = path.with_extension(format!("{}.new", std::process::id()));
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
            file.write_all(&serde_json::to_vec_pretty(value)?)?;
            file.sync_all()?;
            fs::rename(&staged, path)
        };
        write().with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn read<T: Default + for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<T> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn config() -> (Config, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        (Config { folder: folder.path().join("netdisk") }, folder)
    }

    #[test]
    fn the_last_login_is_the_default_and_each_can_be_forgotten() {
        let (config, _folder) = config();
        let endpoint = "localhost:8001";
        let login = |name: &str| Login { user: name.parse().expect("a name"), token: Token::from_random(&[1; 32]) };
        config.set_login(endpoint, login("alice")).expect("written");
        config.set_login(endpoint, login("bob")).expect("written");
        assert!(config.set_login(endpoint, login("alice")).expect("written").is_some(), "it replaces one");
        let last = |config: &Config| config.login(endpoint, None).expect("read").map(|login| login.user.to_string());
        assert_eq!(last(&config).as_deref(), Some("alice"));
        let bob = "bob".parse().expect("a name");
        assert!(config.login(endpoint, Some(&bob)).expect("read").is_some());
        config.forget_login(endpoint, &"alice".parse().expect("a name")).expect("written");
        assert_eq!(last(&config), None, "nobody else takes the place of who logged out");
        let mode = fs::metadata(config.logins_path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn pins_are_kept_by_host_and_port() {
        let (config, _folder) = config();
        let pin = Pin::Key(Fingerprint::of_public_key(b"a key"));
        let endpoint = |text: &str| text.parse::<Endpoint>().expect("an endpoint");
        config.set_pin(&endpoint("localhost"), pin).expect("written");
        assert_eq!(config.pin(&endpoint("localhost:8001")).expect("read"), Some(pin));
        assert_eq!(config.pin(&endpoint("localhost:8002")).expect("read"), None);
        assert_eq!(config.set_pin(&endpoint("localhost"), Pin::System).expect("read"), pin, "the first one holds");
        assert!(config.forget_pin(&endpoint("localhost")).expect("written"));
        assert!(!config.forget_pin(&endpoint("localhost")).expect("written"));
        config.set_pin(&endpoint("localhost"), Pin::System).expect("written");
        assert_eq!(config.pin(&endpoint("localhost")).expect("read"), Some(Pin::System));
    }

    /// Each opens the lock for itself, as another process would.
    #[test]
    fn of_many_who_write_at_once_nobody_is_forgotten() {
        let (config, _folder) = config();
        std::thread::scope(|scope| {
            for number in 0..40 {
                let config = config.clone();
                scope.spawn(move || {
                    let user = format!("user{number}").parse().expect("a name");
                    let login = Login { user, token: Token::from_random(&[1; 32]) };
                    config.set_login("localhost:8001", login).expect("written");
                    let endpoint = format!("host{number}").parse().expect("an endpoint");
                    config.set_pin(&endpoint, Pin::System).expect("written");
                });
            }
        });
        assert_eq!(config.pins().expect("read").len(), 40);
        for number in 0..40 {
            let user = format!("user{number}").parse().expect("a name");
            assert!(config.login("localhost:8001", Some(&user)).expect("read").is_some(), "user{number}");
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        let (config, _folder) = config();
        make_private(&config.folder).expect("made");
        fs::write(config.pins_path(), "{").expect("written");
        let error = config.pin(&"localhost".parse().expect("an endpoint")).expect_err("damaged");
        assert!(error.to_string().contains("pins.json is damaged"), "{error}");
    }
}
