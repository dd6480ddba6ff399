//! First contact: whether a server is the right one, asked once and remembered.

use netdisk_client::{ClientError, Endpoint, Trust, fingerprint_of};
use netdisk_model::Fingerprint;

use crate::cli::{Ca, ConnectArgs};
use crate::config::{Config, Pin};
use crate::failure::Failure;
use crate::question;

/// Decides how to know the server: by what was said, by what is remembered, by asking, or not at all.
pub(crate) async fn decide(args: &ConnectArgs, config: &Config) -> Result<Trust, Failure> {
    if args.plaintext {
        return Ok(Trust::Plaintext);
    }
    let endpoint = &args.server;
    let known = config.pin(endpoint).map_err(Failure::Unexpected)?;
    let given = match args.ca {
        Some(Ca::System) => Some(Pin::System),
        None => args.fingerprint.map(Pin::Key),
    };
    match (given, known) {
        (Some(given), Some(known)) if given != known => Err(known_otherwise(endpoint, known, given)),
        (Some(pin), _) | (None, Some(pin)) => Ok(trust_of(pin)),
        (None, None) => {
            let shown = fingerprint_of(endpoint).await?;
            if !args.accept_new {
                ask(endpoint, shown)?;
            }
            Ok(Trust::Pinned(shown))
        }
    }
}

fn trust_of(pin: Pin) -> Trust {
    match pin {
        Pin::Key(fingerprint) => Trust::Pinned(fingerprint),
        Pin::System => Trust::System,
    }
}

fn known_otherwise(endpoint: &Endpoint, known: Pin, given: Pin) -> Failure {
    Failure::NotTrusted(format!(
        "{endpoint} was known by {known} so far, not by {given}; if that was changed on purpose: \
         netdisk pins forget {endpoint}"
    ))
}

/// By what a server is to be known that is not remembered yet, or otherwise.
pub(crate) fn not_remembered(args: &ConnectArgs, config: &Config, trust: &Trust) -> Result<Option<Pin>, Failure> {
    let pin = match trust {
        Trust::Pinned(fingerprint) => Pin::Key(*fingerprint),
        Trust::System => Pin::System,
        Trust::Plaintext => return Ok(None),
    };
    let known = config.pin(&args.server).map_err(Failure::Unexpected)?;
    Ok((known != Some(pin)).then_some(pin))
}

/// Remembers a server that was reached. What another process remembered meanwhile counts more.
pub(crate) fn remember(args: &ConnectArgs, config: &Config, pin: Pin) -> Result<(), Failure> {
    match config.set_pin(&args.server, pin).map_err(Failure::Unexpected)? {
        known if known == pin => Ok(()),
        known => Err(known_otherwise(&args.server, known, pin)),
    }
}

/// Says what to do about a key that changed.
pub(crate) fn explain(error: ClientError, args: &ConnectArgs) -> Failure {
    match error {
        ClientError::NotTrusted { endpoint, expected, actual } if args.fingerprint == Some(expected) => {
            Failure::NotTrusted(format!(
                "{endpoint} has the key {actual}, not the one of --fingerprint; nothing was sent"
            ))
        }
        ClientError::NotTrusted { endpoint, expected, actual } => Failure::NotTrusted(format!(
            "{endpoint} HAS ANOTHER KEY: {actual}, not {expected}. Somebody may be in the middle; nothing was sent. If the \
             key was changed on purpose: netdisk pins forget {endpoint}",
        )),
        error => error.into(),
    }
}

fn ask(endpoint: &Endpoint, shown: Fingerprint) -> Result<(), Failure> {
    if !question::can_be_asked() {
        return Err(Failure::NotTrusted(format!(
            "{endpoint} is not known yet; its fingerprint is {shown}. If that is what the server printed at its start, \
             use --fingerprint {shown}, or --accept-new to trust whoever answers first",
        )));
    }
    eprintln!("{endpoint} is not known yet. It shows this fingerprint; compare it with what the server printed:");
    eprintln!("  {shown}");
    match question::ask("Trust it from now on?")? {
        true => Ok(()),
        false => Err(Failure::NotTrusted(format!("{endpoint} is not trusted; nothing was sent"))),
    }
}
