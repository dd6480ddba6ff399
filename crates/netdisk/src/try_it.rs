//! `netdisk try`: a private server on loopback and a shell, in one process.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Parser as _;
use netdisk_client::{Endpoint, Trust};
use netdisk_server::Registration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{Cli, TryArgs};
use crate::failure::Failure;
use crate::log::{self, LogFormat};
use crate::output::Output;
use crate::remote::Remote;
use crate::{serve, shell, tour};

/// Leads to a prompt; where nobody can type, plays a tour over a store that is thrown away.
pub(crate) fn try_it(args: &TryArgs, output: &Output) -> Result<(), Failure> {
    log::start(LevelFilter::WARN, LogFormat::Text, None)?;
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        let private = PrivateServer::start(&args.data)?;
        output.text(&format!("A private server over {} listens on {}.", args.data.display(), private.endpoint));
        output.text("`register NAME` makes an account, `put FILE` and `get FILE` move files; try `help`.");
        let mut remote = private.remote();
        let outcome = shell::run(&private.runtime, &mut remote, None, output);
        private.stop();
        return outcome;
    }
    let store = tempfile::tempdir().map_err(Failure::unexpected)?;
    output.text(&format!(
        "No terminal: a short tour over a store in {}, thrown away at its end.",
        store.path().display()
    ));
    let private = PrivateServer::start(store.path())?;
    let outcome = private.runtime.block_on(tour::play(&mut private.remote(), output));
    private.stop();
    outcome
}

/// A server of this process.
pub(crate) struct PrivateServer {
    pub(crate) runtime: Runtime,
    pub(crate) endpoint: Endpoint,
    pub(crate) trust: Trust,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl PrivateServer {
    pub(crate) fn start(data: &Path) -> Result<Self, Failure> {
        let min_free = netdisk_storage::Options::default().min_free;
        let (server, identity) = serve::open(data, min_free, &serve::Transport::OwnCertificate, Registration::Open)?;
        let identity = identity.context("TLS is on").map_err(Failure::Unexpected)?;
        let runtime = crate::runtime()?;
        let shutdown = CancellationToken::new();
        let (endpoint, serving) = runtime
            .block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                let endpoint = listener.local_addr()?.to_string().parse()?;
                anyhow::Ok((endpoint, tokio::spawn(server.run(listener, shutdown.clone()))))
            })
            .map_err(Failure::Unexpected)?;
        Ok(Self { runtime, endpoint, trust: Trust::Pinned(identity.fingerprint()), shutdown, serving })
    }

    /// A client of this server; its key is known first-hand.
    fn remote(&self) -> Remote {
        let mut args = Cli::parse_from(["netdisk"]).connect;
        args.server = self.endpoint.clone();
        Remote::of_this_process(args, self.trust)
    }

    pub(crate) fn stop(self) {
        self.shutdown.cancel();
        if let Err(error) = self.runtime.block_on(self.serving) {
            tracing::error!(%error, "the server did not stop properly");
        }
        self.runtime.shutdown_background();
    }
}
