//! What the machine can do at best: files down one TCP stream, with no account, no check and no sync. Every contender is
//! held against it.
//!
//! ```text
//! client                                    server
//! 'P', name of the folder              -->
//! (length of path, path, size, bytes)* -->
//! length 0                             -->
//!                                      <--  1: all is written
//!
//! 'G', name of the folder              -->
//!                                      <--  (length of path, path, size, bytes)*
//!                                      <--  length 0
//! ```
//!
//! In plaintext files are sent by sendfile. There is no guard against anything: it serves the bench alone.

mod folder;
mod link;

use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::cli::{LimitClientArgs, LimitCommand};
use link::{Link, Security};

const PUT: u8 = b'P';
const GET: u8 = b'G';
const ALL_WRITTEN: u8 = 1;

/// Serves, sends or fetches.
pub(crate) fn run(command: &LimitCommand) -> Result<()> {
    match command {
        LimitCommand::Serve { listen, folder, certificate, key } => {
            let security = match (certificate, key) {
                (Some(certificate), Some(key)) => Security::server(certificate, key)?,
                _ => Security::None,
            };
            serve(&TcpListener::bind(listen)?, folder, &security)
        }
        LimitCommand::Put(args) => put(args),
        LimitCommand::Get(args) => get(args),
    }
}

fn serve(listener: &TcpListener, folder: &Path, security: &Security) -> Result<()> {
    std::thread::scope(|scope| {
        loop {
            let (stream, _) = listener.accept()?;
            scope.spawn(|| {
                let answered = Link::new(stream, security).and_then(|mut link| answer(&mut link, folder));
                if let Err(error) = answered {
                    eprintln!("limit: {error:#}");
                }
            });
        }
    })
}

fn answer(link: &mut Link, folder: &Path) -> Result<()> {
    let mut what = [0];
    link.read_exact(&mut what)?;
    let name = link.read_text()?.context("a name")?;
    match what[0] {
        PUT => {
            folder::receive(link, &folder.join(name))?;
            link.write_all(&[ALL_WRITTEN])?;
            link.flush()
        }
        GET => folder::send(link, &folder.join(name)),
        other => bail!("a request {other}"),
    }
}

fn dial(args: &LimitClientArgs, what: u8) -> Result<Link> {
    let security = match &args.certificate {
        Some(certificate) => Security::client(certificate)?,
        None => Security::None,
    };
    let stream = std::net::TcpStream::connect(args.server)?;
    let mut link = Link::new(stream, &security)?;
    link.write_all(&[what])?;
    link.write_text(&args.name)?;
    Ok(link)
}

fn put(args: &LimitClientArgs) -> Result<()> {
    let mut link = dial(args, PUT)?;
    folder::send(&mut link, &args.folder)?;
    let mut written = [0];
    link.read_exact(&mut written)?;
    if written != [ALL_WRITTEN] {
        bail!("an answer {written:?}");
    }
    Ok(())
}

fn get(args: &LimitClientArgs) -> Result<()> {
    let mut link = dial(args, GET)?;
    link.flush()?;
    folder::receive(&mut link, &args.folder)
}
