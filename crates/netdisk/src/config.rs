//! The configuration folder: pins, logins and history of one profile.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use etcetera::BaseStrategy as _;
use netdisk_client::Endpoint;
use netdisk_model::{Fingerprint, Token, UserName};
use serde::{Deserialize, Serialize};

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

type Pins = BTreeMap<String, Fingerprint>;
type Logins = BTreeMap<String, LoginsOfServer>;

/// The logins that were kept for one server.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LoginsOfServer {
    /// Who logged in last and has not logged out since.
    current: Option<UserName>,
    kept: Vec<Login>,
}

impl Config {
    /// The folder of `profile`: in `NETDISK_HOME`, otherwise where the platform keeps configuration.
    pub(crate) fn locate(profile: Option<&str>) -> anyhow::Result<Self> {
        let root = match std::env::var_os("NETDISK_HOME").filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home),
            None => etcetera::choose_base_strategy()
                .context("there is no home directory; set NETDISK_HOME")?
                .config_dir()
                .join("netdisk"),
        };
        let folder = match profile {
            Some(profile) => root.join("profiles").join(profile),
            None => root,
        };
        Ok(Self { folder })
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

    /// The fingerprint that a server had at first contact.
    pub(crate) fn pin(&self, endpoint: &Endpoint) -> anyhow::Result<Option<Fingerprint>> {
        Ok(read::<Pins>(&self.pins_path())?.get(&endpoint.to_string()).copied())
    }

    /// Remembers a server's fingerprint.
    pub(crate) fn set_pin(&self, endpoint: &Endpoint, fingerprint: Fingerprint) -> anyhow::Result<()> {
        let mut pins = read::<Pins>(&self.pins_path())?;
        pins.insert(endpoint.to_string(), fingerprint);
        self.write(&self.pins_path(), &pins)
    }

    /// The login that was kept for a server: of `user`, or of whoever logged in last and has not logged out since.
    pub(crate) fn login(&self, server: &str, user: Option<&UserName>) -> anyhow::Result<Option<Login>> {
        let of_server = read::<Logins>(&self.logins_path())?.remove(server).unwrap_or_default();
        let user = user.or(of_server.current.as_ref());
        Ok(of_server.kept.iter().find(|login| Some(&login.user) == user).cloned())
    }

    /// Remembers a login; gives the one that it replaces.
    pub(crate) fn set_login(&self, server: &str, login: Login) -> anyhow::Result<Option<Login>> {
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
        let pin = Fingerprint::of_public_key(b"a key");
        let endpoint = |text: &str| text.parse::<Endpoint>().expect("an endpoint");
        config.set_pin(&endpoint("localhost"), pin).expect("written");
        assert_eq!(config.pin(&endpoint("localhost:8001")).expect("read"), Some(pin));
        assert_eq!(config.pin(&endpoint("localhost:8002")).expect("read"), None);
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
