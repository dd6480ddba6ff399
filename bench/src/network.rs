//! The bench's side of the long wire: it has the relay started, and knows the two networks.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::programs::Programs;
use crate::relay;

/// A server that is far answers within a round trip, or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Two networks with a long wire between them. Dropped, both are gone.
#[derive(Debug)]
pub(crate) struct Network {
    relay: Child,
    client: PathBuf,
    server: PathBuf,
}

impl Network {
    /// Lays a wire of that round trip; what the relay has to say is written to `log`.
    pub(crate) fn lay(programs: &Programs, round_trip: Duration, log: &Path) -> Result<Self> {
        let one_way = round_trip.as_micros() / 2;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["launch", "--"]).arg(std::env::current_exe()?).args(["relay", "--delay-micros"]);
        command.arg(one_way.to_string()).arg("--ip").arg(programs.get("ip")?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?);
        let mut relay = command.process_group(0).spawn().context("the relay")?;
        let mut said = BufReader::new(relay.stdout.take().context("piped")?).lines();
        match (said.next(), said.next()) {
            (Some(Ok(client)), Some(Ok(server))) => Ok(Self { relay, client: client.into(), server: server.into() }),
            _ => {
                let status = relay.wait()?;
                Err(anyhow!("the relay has ended, {status}: {}", fs::read_to_string(log)?.trim()))
            }
        }
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> IpAddr {
        IpAddr::V4(relay::SERVER)
    }

    /// The client's network, for `launch`.
    pub(crate) fn client(&self) -> &Path {
        &self.client
    }

    /// The server's network, for `launch`.
    pub(crate) fn server(&self) -> &Path {
        &self.server
    }

    /// An address at the server's end that is free at this moment.
    pub(crate) fn free_address(&self) -> Result<SocketAddr> {
        let address = self.address();
        within(&self.server, move || Ok(TcpListener::bind((address, 0)).context("a free port")?.local_addr()?))
    }

    /// Whether somebody at the server's end accepts connections.
    pub(crate) fn accepts(&self, address: SocketAddr) -> Result<bool> {
        within(&self.client, move || Ok(TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok()))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The relay ends with its standard input.
        drop(self.relay.stdin.take());
        match self.relay.wait() {
            Ok(status) if status.success() => {}
            ended => eprintln!("netdisk-bench: the relay: {ended:?}"),
        }
    }
}

/// Does something in another network, by a thread that goes there and does not come back.
fn within<T: Send + 'static>(namespace: &Path, act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let file = File::open(namespace).with_context(|| namespace.display().to_string())?;
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).context("the network")?;
        act()
    });
    thread.join().map_err(|_| anyhow!("a thread in another network has panicked"))?
}
