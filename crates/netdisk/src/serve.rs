//! `netdisk serve`: options, log, signals.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use netdisk_server::{Identity, Limits, Registration, Server};
use netdisk_storage::DiskStore;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{RegistrationArg, ServeArgs};
use crate::failure::Failure;
use crate::log::{self, LogFormat};
use crate::output::Output;
use crate::size;
use crate::wall::{self, Level};

/// Connections that the kernel keeps until they are accepted; as Tokio has it.
const BACKLOG: i32 = 1024;

/// The configuration file: the options of the command line by the same names.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    plaintext: Option<bool>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    registration: Option<RegistrationArg>,
    min_free: Option<String>,
    log_format: Option<LogFormat>,
}

/// What is in force.
struct Options {
    listen: SocketAddr,
    data: PathBuf,
    transport: Transport,
    registration: Registration,
    /// Bytes of the disk that no upload gets.
    min_free: u64,
    log_format: LogFormat,
}

/// What travels between the server and its clients.
pub(crate) enum Transport {
    /// TLS with a key and a certificate of the server's own making, in the store.
    OwnCertificate,
    /// TLS with these files.
    Certificate { certificate: PathBuf, key: PathBuf },
    /// No TLS.
    Plaintext,
}

impl Transport {
    fn new(plaintext: bool, certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Self, Failure> {
        match (plaintext, certificate, key) {
            (false, None, None) => Ok(Self::OwnCertificate),
            (false, Some(certificate), Some(key)) => Ok(Self::Certificate { certificate, key }),
            (true, None, None) => Ok(Self::Plaintext),
            (true, ..) => Err(Failure::usage("plaintext has no certificate")),
            (false, ..) => Err(Failure::usage("tls_cert and tls_key go together")),
        }
    }

    fn identity(&self, data: &Path) -> Result<Option<Identity>, Failure> {
        let identity = match self {
            Self::Plaintext => return Ok(None),
            Self::OwnCertificate => Identity::load_or_make(&data.join("identity")),
            Self::Certificate { certificate, key } => Identity::load(certificate.clone(), key.clone()),
        };
        identity.map(Some).map_err(Failure::unexpected)
    }
}

impl Options {
    fn new(args: ServeArgs, plaintext: bool) -> Result<Self, Failure> {
        let file = match &args.config {
            Some(path) => read(path)?,
            None => File::default(),
        };
        let listen = args.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8001)));
        let registration = match args.registration.or(file.registration) {
            Some(RegistrationArg::Open) => Registration::Open,
            Some(RegistrationArg::Invited) => Registration::Invited,
            Some(RegistrationArg::Closed) => Registration::Closed,
            None if listen.ip().is_loopback() => Registration::Open,
            None => Registration::Closed,
        };
        let data = args.data.or(file.data).unwrap_or_else(|| PathBuf::from("data"));
        let plaintext = plaintext || file.plaintext.unwrap_or(false);
        let transport = Transport::new(plaintext, args.tls_cert.or(file.tls_cert), args.tls_key.or(file.tls_key))?;
        let log_format = args.log_format.or(file.log_format).unwrap_or_default();
        let of_file = file.min_free.as_deref().map(size::parse).transpose();
        let of_file = of_file.map_err(|error| Failure::usage(format!("min_free: {error}")))?;
        let min_free = args.min_free.or(of_file).unwrap_or(netdisk_storage::Options::default().min_free);
        Ok(Self { listen, data, transport, registration, min_free, log_format })
    }

    fn explain(&self) -> String {
        let transport = match &self.transport {
            Transport::Plaintext => "plaintext: everybody on the way reads everything".to_owned(),
            Transport::OwnCertificate => "TLS 1.3".to_owned(),
            Transport::Certificate { certificate, .. } => format!("TLS 1.3, certificate {}", certificate.display()),
        };
        let registration = match self.registration {
            Registration::Open => "open: whoever reaches the server may make an account",
            Registration::Invited => "invited: whoever has a code from `netdisk admin invite`",
            Registration::Closed => "closed: nobody can make an account",
        };
        format!(
            "listen        {}\ndata          {}\ntransport     {transport}\nregistration  {registration}\n\
             min_free      {}\naudit         {}",
            self.listen,
            self.data.display(),
            indicatif::BinaryBytes(self.min_free),
            self.data.join("audit").display(),
        )
    }
}

fn read(path: &Path) -> Result<File, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::NotFound(format!("{}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count()) + 1;
        Failure::usage(format!("{}, line {line}: {}", path.display(), error.message()))
    })
}

/// Runs the server until a signal stops it.
pub(crate) fn serve(args: ServeArgs, plaintext: bool, output: &Output) -> Result<(), Failure> {
    let check = args.check;
    let options = Options::new(args, plaintext)?;
    if check {
        output.text(&options.explain());
        return Ok(());
    }
    let listener = listen(options.listen).with_context(|| format!("{} cannot be listened on", options.listen));
    let listener = listener.map_err(Failure::Unexpected)?;
    // Only a server that can serve makes a store, and an audit file in it.
    log::start(LevelFilter::INFO, options.log_format, Some(&options.data.join("audit")))?;
    let limits = Limits::for_descriptors(raise_descriptor_limit());
    let (server, identity) = open(&options.data, options.min_free, &options.transport, options.registration)?;
    // Threads that run already would be outside.
    raise_wall(&options);
    crate::runtime()?.block_on(async {
        let listener = TcpListener::from_std(listener).map_err(Failure::unexpected)?;
        let shutdown = CancellationToken::new();
        stop_on_signals(shutdown.clone())?;
        reload_on_hangup(identity.clone())?;
        announce(&listener, identity.as_ref()).map_err(Failure::Unexpected)?;
        server.with_limits(&limits).run(listener, shutdown).await;
        Ok(())
    })
}

fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    // A crowd that comes at once waits here.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Raises the second wall, as high as this kernel can; one that cannot is no reason not to serve.
fn raise_wall(options: &Options) {
    let certificates = match &options.transport {
        Transport::Certificate { certificate, key } => vec![certificate.as_path(), key.as_path()],
        Transport::OwnCertificate | Transport::Plaintext => Vec::new(),
    };
    match wall::raise(&options.data, &certificates) {
        Ok(wall @ Level::Whole) => tracing::info!(%wall, "landlock"),
        Ok(wall) => tracing::warn!(%wall, "landlock: this kernel does not keep the whole second wall"),
        Err(error) => tracing::warn!(%error, "landlock: there is no second wall"),
    }
}

/// Takes as many descriptors as the system grants, and gives how many: a connection needs one and each file under way
/// another.
pub(crate) fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let granted = match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it is");
            current
        }
    };
    // A core file would hold whatever passwords are in memory at that moment.
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core files are possible");
    }
    // None is no limit.
    granted.map_or(usize::MAX, |granted| usize::try_from(granted).unwrap_or(usize::MAX))
}

/// Opens the store and makes a server over it.
pub(crate) fn open(
    data: &Path,
    min_free: u64,
    transport: &Transport,
    registration: Registration,
) -> Result<(Server, Option<Identity>), Failure> {
    let options = netdisk_storage::Options { min_free, ..Default::default() };
    let store =
        DiskStore::open_with(data, options).with_context(|| data.display().to_string()).map_err(Failure::Unexpected)?;
    let identity = transport.identity(data)?;
    Ok((Server::new(Arc::new(store), identity.clone(), registration), identity))
}

/// Says where the server is, once it accepts connections: scripts wait for these lines. A reader that has gone, as in
/// `serve | head -1`, is no reason not to serve.
fn announce(listener: &TcpListener, identity: Option<&Identity>) -> anyhow::Result<()> {
    let mut text = format!("listening on {}\n", listener.local_addr()?);
    match identity {
        Some(identity) => text.push_str(&format!("fingerprint {}\n", identity.fingerprint())),
        None => tracing::warn!("plaintext: everybody on the way reads everything, passwords too"),
    }
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "standard output is closed");
    }
    Ok(())
}

/// SIGTERM or Ctrl-C stops the server; a second one ends the process at once.
fn stop_on_signals(shutdown: CancellationToken) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::unexpected)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::unexpected)?;
    tokio::spawn(async move {
        for stop_at_once in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop_at_once {
                std::process::exit(130);
            }
            shutdown.cancel();
        }
    });
    Ok(())
}

/// SIGHUP reads key and certificate again: a renewed one comes into force without a stop.
fn reload_on_hangup(identity: Option<Identity>) -> Result<(), Failure> {
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::unexpected)?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match identity.as_ref().map(Identity::reload) {
                None => tracing::info!("nothing to read again: plaintext"),
                Some(Ok(false)) => tracing::info!("certificate read again; the key is the same"),
                Some(Ok(true)) => tracing::warn!("certificate read again; the key is ANOTHER: clients will refuse it"),
                Some(Err(error)) => tracing::error!(%error, "certificate not read again; the old one stays"),
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ServeArgs {
        ServeArgs {
            listen: None,
            data: None,
            config: None,
            tls_cert: None,
            tls_key: None,
            registration: None,
            min_free: None,
            log_format: None,
            check: false,
        }
    }

    #[test]
    fn registration_is_closed_where_strangers_reach() {
        let listen = |address: &str| ServeArgs { listen: Some(address.parse().expect("an address")), ..args() };
        let registration = |args| Options::new(args, false).expect("options").registration;
        assert_eq!(registration(args()), Registration::Open);
        assert_eq!(registration(listen("[::1]:1")), Registration::Open);
        assert_eq!(registration(listen("0.0.0.0:1")), Registration::Closed);
        let open = ServeArgs { registration: Some(RegistrationArg::Open), ..listen("0.0.0.0:1") };
        assert_eq!(registration(open), Registration::Open);
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_unknown_keys_are_errors() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("netdisk.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:1\"\ndata = \"/srv\"\nregistration = \"closed\"\n")
            .expect("written");
        let with = |listen: Option<&str>| ServeArgs {
            config: Some(path.clone()),
            listen: listen.map(|listen| listen.parse().expect("an address")),
            ..args()
        };
        let options = Options::new(with(None), false).expect("options");
        assert_eq!(
            (options.listen.port(), options.data, options.registration),
            (1, "/srv".into(), Registration::Closed)
        );
        assert_eq!(Options::new(with(Some("127.0.0.1:2")), false).expect("options").listen.port(), 2);

        std::fs::write(&path, "listne = \"127.0.0.1:1\"\n").expect("written");
        let failure = Options::new(with(None), false).err().expect("an unknown key");
        assert!(failure.to_string().contains("listne"), "{failure}");
        assert_eq!(failure.code(), 2);
    }
}
