//! P12: somebody in the middle, with another key, with the real certificate and another key, and with a pair of
//! scissors: every byte flipped, every place cut, both ways.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use netdisk_client::{Client, ClientError, GetTarget, OnExisting, PutSource, Trust, Unobserved, dial, get, put};
use netdisk_model::{Fingerprint, Password, RemotePath, Token, UserName};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use super::peer::careless_config;
use super::scene::{Effort, PASSWORD, ServerProcess, runtime};
use super::table::Row;

const CONTENT: &[u8] = b"what alice wrote";

/// Sessions that are harmed at once.
const VICTIMS: usize = 32;

pub(crate) fn probe(effort: &Effort) -> Result<Vec<Row>> {
    let runtime = runtime()?;
    let server = effort.serve(&["--registration", "open"])?;
    let fingerprint = server.fingerprint.context("TLS")?;
    let step = effort.pick(37, 1);
    runtime.block_on(async {
        let mut rows = impostors(&server, fingerprint).await?;
        rows.push(scissors(effort, &server, step).await?);
        Ok(rows)
    })
}

/// Presents one certificate and signs with whatever key it has.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// Listens as an impostor; gives its address, and a count of the bytes that clients entrusted it with.
async fn impostor(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<(SocketAddr, Arc<AtomicU64>)> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = provider.key_provider.load_private_key(key)?;
    let resolver = Arc::new(Impostor(Arc::new(CertifiedKey::new(vec![certificate], key))));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"netdisk/1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let entrusted = Arc::new(AtomicU64::new(0));
    let count = entrusted.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), count.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut buffer = [0; 1024];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    count.fetch_add(read as u64, Ordering::Relaxed);
                }
            });
        }
    });
    Ok((address, entrusted))
}

async fn impostors(server: &ServerProcess, fingerprint: Fingerprint) -> Result<Vec<Row>> {
    let identity = server.store().join("identity");
    let real = CertificateDer::from_pem_file(identity.join("cert.pem"))?;
    let other_key = rcgen::KeyPair::generate()?;
    let other = rcgen::CertificateParams::new(vec!["netdisk".to_owned()])?.self_signed(&other_key)?;
    let key = || PrivateKeyDer::try_from(other_key.serialize_der()).map_err(anyhow::Error::msg);
    let rounds = 100;
    let mut rows = Vec::new();
    for (what, certificate) in [("another key", other.der().clone()), ("the real certificate, another key", real)] {
        let (address, entrusted) = impostor(certificate, key()?).await?;
        let (mut failed, mut refused) = (0, 0);
        for _ in 0..rounds {
            match dial(&address.to_string().parse()?, &Trust::Pinned(fingerprint)).await {
                Ok(_) => failed += 1,
                Err(ClientError::NotTrusted { .. } | ClientError::NotNetdisk { .. }) => refused += 1,
                Err(error) => return Err(error.into()),
            }
        }
        let bytes = entrusted.swap(0, Ordering::Relaxed);
        // The careless client believes it and speaks.
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(careless_config()?);
        let mut believed = connector.connect(ServerName::try_from("netdisk")?, stream).await?;
        believed.write_all(b"password").await?;
        believed.shutdown().await?;
        drop(believed.read(&mut [0]).await);
        rows.push(Row {
            promise: "P12",
            what: format!("an impostor with {what}"),
            tried: rounds,
            failed: failed + u64::from(bytes > 0),
            figure: format!("{refused} refused, {bytes} bytes entrusted"),
            control: "a verifier without key and signature check",
            control_failed: entrusted.load(Ordering::Relaxed),
        });
    }
    Ok(rows)
}

/// What happens to the bytes on their way.
#[derive(Debug, Clone, Copy)]
enum Harm {
    None,
    Flip { to_server: bool, at: u64 },
    Cut { to_server: bool, at: u64 },
}

/// Passes one connection on, with harm; gives how many bytes went each way.
async fn pass(listener: &TcpListener, server: SocketAddr, harm: Harm) -> Result<(u64, u64)> {
    let (client, _) = listener.accept().await?;
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let cut = CancellationToken::new();
    let there = carry(from_client, to_server, harm, true, cut.clone());
    let back = carry(from_server, to_client, harm, false, cut.clone());
    Ok(tokio::join!(there, back))
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    harm: Harm,
    is_to_server: bool,
    cut: CancellationToken,
) -> u64 {
    let mut passed = 0;
    let mut buffer = [0; 4096];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            () = cut.cancelled() => 0,
        };
        let mut bytes = &mut buffer[..read];
        let mut last = read == 0;
        match harm {
            Harm::Flip { to_server, at }
                if to_server == is_to_server && (passed..passed + read as u64).contains(&at) =>
            {
                bytes[usize::try_from(at - passed).unwrap_or(0)] ^= 1;
            }
            Harm::Cut { to_server, at } if to_server == is_to_server && passed + read as u64 >= at => {
                bytes = &mut bytes[..usize::try_from(at - passed).unwrap_or(0)];
                last = true;
            }
            _ => {}
        }
        passed += bytes.len() as u64;
        if to.write_all(bytes).await.is_err() || last {
            // Either end gone ends the connection.
            cut.cancel();
            drop(to.shutdown().await);
            return passed;
        }
    }
}

/// What a client believes after a session: the names in its home, and a file's content.
type Seen = (Vec<String>, Vec<u8>);

/// One session of a client: store, list, fetch. What came of it, if all of it seemed to succeed.
async fn session(server: SocketAddr, victim: &Victim) -> Result<Seen, ClientError> {
    let endpoint = server.to_string().parse().map_err(|_| ClientError::DigestMismatch)?;
    let door = dial(&endpoint, &victim.trust).await?;
    let mut client: Client = door.log_in_by_token(&victim.user, victim.token.clone()).await?;
    let path: RemotePath = "/letter".parse().map_err(|_| ClientError::DigestMismatch)?;
    // A stream is tried once: a retry would hide what happened.
    let source = PutSource::Stream(Box::new(CONTENT));
    let cancel = CancellationToken::new();
    put(&mut client, source, &path, OnExisting::Replace, &Unobserved, &cancel).await?;
    let listed = client.list(&RemotePath::root(), false).await?;
    let (mut near, far) = tokio::io::duplex(1024);
    let target = GetTarget::Stream(Box::new(far));
    get(&mut client, &path, target, OnExisting::Refuse, &Unobserved, &cancel).await?;
    let mut content = Vec::new();
    near.read_to_end(&mut content).await.map_err(|_| ClientError::DigestMismatch)?;
    Ok((listed.entries.iter().map(|entry| entry.path.to_string()).collect(), content))
}

/// Somebody whose sessions are harmed.
#[derive(Clone)]
struct Victim {
    server: SocketAddr,
    trust: Trust,
    user: UserName,
    token: Token,
    files: PathBuf,
}

impl Victim {
    async fn new(server: &ServerProcess, trust: Trust, number: usize) -> Result<Self> {
        let user: UserName = format!("victim{number}").parse()?;
        let door = dial(&server.address.to_string().parse()?, &trust).await?;
        let client = door.register(&user, Password::new(PASSWORD), true).await?;
        let token = client.token().cloned().context("a token was asked for")?;
        let files = server.files(user.as_str());
        Ok(Self { server: server.address, trust, user, token, files })
    }

    /// One session through the middle; how many bytes went each way, and what came of it.
    async fn suffer(&self, listener: &TcpListener, harm: Harm) -> Result<((u64, u64), Result<Seen, ClientError>)> {
        let middle = listener.local_addr()?;
        let (passed, outcome) = tokio::join!(pass(listener, self.server, harm), session(middle, self));
        Ok((passed?, outcome))
    }

    /// Suffers all of these; gives how often something false came through: to the client, or onto the server's disk.
    async fn suffer_all(self, harms: Vec<Harm>) -> Result<u64> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let expected = (vec!["/letter".to_owned()], CONTENT.to_vec());
        let mut failed = 0;
        for harm in harms {
            let (_, outcome) = self.suffer(&listener, harm).await?;
            let told_lies = outcome.is_ok_and(|outcome| outcome != expected);
            let names = names_in(&self.files)?;
            let stored_lies = names.iter().any(|name| name != "letter")
                || std::fs::read(self.files.join("letter")).is_ok_and(|content| content != CONTENT);
            if told_lies || stored_lies {
                failed += 1;
                for name in names {
                    std::fs::remove_file(self.files.join(name))?;
                }
            }
        }
        Ok(failed)
    }
}

fn names_in(folder: &Path) -> Result<Vec<OsString>> {
    Ok(std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?)
}

/// Flips and cuts a session at every so-manieth byte, both ways; gives how often, and how often something false came
/// through. Several suffer at once, because a length that was made larger is waited for.
async fn harm_all(server: &ServerProcess, trust: Trust, step: usize) -> Result<(u64, u64)> {
    let first = Victim::new(server, trust, 0).await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    // Once more than needed: the first session finds no file, as no later one does.
    first.suffer(&listener, Harm::None).await?.1?;
    let ((there, back), outcome) = first.suffer(&listener, Harm::None).await?;
    ensure!(outcome?.1 == CONTENT, "a session that nobody harms");
    let mut harms = vec![Vec::new(); VICTIMS];
    let mut tried = 0;
    for (to_server, len) in [(true, there), (false, back)] {
        for at in (0..len).step_by(step) {
            for harm in [Harm::Flip { to_server, at }, Harm::Cut { to_server, at }] {
                harms[tried % VICTIMS].push(harm);
                tried += 1;
            }
        }
    }
    let mut suffering = JoinSet::new();
    for (number, harms) in harms.into_iter().enumerate() {
        suffering.spawn(Victim::new(server, trust, number + 1).await?.suffer_all(harms));
    }
    let mut failed = 0;
    while let Some(victim) = suffering.join_next().await {
        failed += victim??;
    }
    Ok((tried as u64, failed))
}

async fn scissors(effort: &Effort, server: &ServerProcess, step: usize) -> Result<Row> {
    let trust = Trust::Pinned(server.fingerprint.context("TLS")?);
    let (tried, failed) = harm_all(server, trust, step).await?;
    let plain = effort.serve(&["--plaintext", "--registration", "open"])?;
    let (_, control_failed) = harm_all(&plain, Trust::Plaintext, 7).await?;
    Ok(Row {
        promise: "P12",
        what: format!(
            "a byte flipped, the line cut, at every {} of a session",
            if step == 1 { "byte".to_owned() } else { format!("{step}th byte") }
        ),
        tried,
        failed,
        figure: "nothing false came through".to_owned(),
        control: "the same without TLS",
        control_failed,
    })
}
