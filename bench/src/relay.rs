//! A long wire: two networks that nobody else is in, and a process that holds each packet for a while between them.
//!
//! ```text
//!   client's network                  this process                    server's network
//!   10.77.0.1, "wire" -- reader --> queue, 25 ms --> writer -- "wire", 10.77.0.2
//!                     <-- writer <-- 25 ms, queue <-- reader --
//! ```
//!
//! The ends are TUN devices, so TCP sees the round trip as on a real line: slow start, windows, acknowledgements. What the
//! kernel hands over in one piece (up to 64 KiB, segmentation left to the device) travels in one piece. There is no limit of
//! bandwidth and no loss, but for a queue that overflows, which is said. The networks belong to threads of this process: they
//! are gone with it, however it ends.

use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sched::{CloneFlags, unshare};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::cli::RelayArgs;

/// The address of the client's end.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The address of the server's end.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// The name of either device.
const DEVICE: &str = "wire";
/// What a packet may have: the most that IP can say, and the kernel's 10 bytes before it (`virtio_net_hdr`).
const PACKET_LEN_MAX: usize = 65_535 + 10;
/// Packets on their way: at 25 ms, more than a loopback of 4 GiB/s has in pieces of 64 KiB, and 20 MiB of single segments.
const QUEUE_LEN: usize = 16 * 1024;
/// The relay goes before those whom it serves: a wire has no queue for the processor. Without the right to, it is only less
/// exact.
const NICENESS: i32 = -10;

/// A packet, and when it arrives.
type Held = (Instant, Vec<u8>);

/// Lays the wire, says where its ends are, and keeps it until standard input ends.
pub(crate) fn run(args: &RelayArgs) -> Result<()> {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        eprintln!("relay: not before others: {error}");
    }
    let delay = Duration::from_micros(args.delay_micros);
    let (to_server, from_client) = mpsc::sync_channel(QUEUE_LEN);
    let (to_client, from_server) = mpsc::sync_channel(QUEUE_LEN);
    let client = End::start(&args.ip, CLIENT, SERVER, delay, to_server)?;
    let server = End::start(&args.ip, SERVER, CLIENT, delay, to_client)?;
    let writers = [(client.device, from_server), (server.device, from_client)]
        .map(|(device, held)| std::thread::spawn(move || deliver(&device, &held)));
    println!("{}\n{}", client.namespace.display(), server.namespace.display());
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    for thread in writers.iter().chain([&client.reader, &server.reader]) {
        ensure!(!thread.is_finished(), "a direction of the wire broke");
    }
    Ok(())
}

/// One end: a network, its device, and the thread that both belong to.
struct End {
    device: Arc<SyncDevice>,
    namespace: PathBuf,
    reader: JoinHandle<Result<()>>,
}

impl End {
    fn start(ip: &Path, here: Ipv4Addr, there: Ipv4Addr, delay: Duration, queue: SyncSender<Held>) -> Result<Self> {
        let (tell, told) = mpsc::channel();
        let ip = ip.to_owned();
        let reader = std::thread::spawn(move || {
            let made = make(&ip, here, there);
            let device = made.as_ref().ok().map(|(device, _)| Arc::clone(device));
            if tell.send(made).is_err() {
                return Ok(());
            }
            device.map_or(Ok(()), |device| hold(&device, delay, &queue))
        });
        let (device, namespace) = told.recv().map_err(|_| anyhow!("an end of the wire has panicked"))??;
        Ok(Self { device, namespace, reader })
    }
}

/// Puts this thread into a new network with a device in it.
fn make(ip: &Path, here: Ipv4Addr, there: Ipv4Addr) -> Result<(Arc<SyncDevice>, PathBuf)> {
    unshare(CloneFlags::CLONE_NEWNET).context("a network of its own (that takes root)")?;
    let device = DeviceBuilder::new().name(DEVICE).offload(true).build_sync().context("a TUN device")?;
    // What was learned of a path in one run would serve the next one.
    std::fs::write("/proc/sys/net/ipv4/tcp_no_metrics_save", "1")?;
    configure(ip, &["address", "add", &here.to_string(), "peer", &there.to_string(), "dev", DEVICE])?;
    configure(ip, &["link", "set", DEVICE, "txqueuelen", "10000", "up"])?;
    configure(ip, &["link", "set", "lo", "up"])?;
    let (process, thread) = (std::process::id(), rustix::thread::gettid().as_raw_nonzero());
    Ok((Arc::new(device), PathBuf::from(format!("/proc/{process}/task/{thread}/ns/net"))))
}

fn configure(ip: &Path, args: &[&str]) -> Result<()> {
    let status = Command::new(ip).args(args).status().with_context(|| ip.display().to_string())?;
    ensure!(status.success(), "ip {}: {status}", args.join(" "));
    Ok(())
}

/// Takes packets off a device.
fn hold(device: &SyncDevice, delay: Duration, queue: &SyncSender<Held>) -> Result<()> {
    let mut buffer = vec![0; PACKET_LEN_MAX];
    loop {
        let length = device.recv(&mut buffer)?;
        match queue.try_send((Instant::now() + delay, buffer[..length].to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => eprintln!("relay: a packet is lost: too many are on their way"),
            Err(TrySendError::Disconnected(_)) => return Ok(()),
        }
    }
}

/// Gives packets to a device when they are due. One that the device does not take is lost, as on any line.
fn deliver(device: &SyncDevice, held: &Receiver<Held>) -> Result<()> {
    for (due, packet) in held {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left);
        }
        if let Err(error) = device.send(&packet) {
            eprintln!("relay: a packet is lost: {error}");
        }
    }
    Ok(())
}
