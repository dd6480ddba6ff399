//! First contact: whether a server is the right one, asked once and remembered.

use netdisk_client::{ClientError, Endpoint, Trust, fingerprint_of};
use netdisk_model::Fingerprint;

use crate::cli::ConnectArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::question;

/// Decides how to know the server: by what was said, by what is remembered, by asking, or not at all.
pub(crate) async fn decide(args: &ConnectArgs, config: &Config) -> Result<Trust, Failure> {
    if args.plaintext {
        return Ok(Trust::Plaintext);
    }
    let endpoint = &args.server;
    let known = config.pin(endpoint).map_err(Failure::Unexpected)?;
    match (args.fingerprint, known) {
        (Some(given), Some(known)) if given != known => Err(Failure::NotTrusted(format!(
            "{endpoint} was {known} so far and --fingerprint says otherwise; if the key was changed on purpose, take the \
             server out of {}",
            config.pins_path().display(),
        ))),
        (Some(given), _) => Ok(Trust::Pinned(given)),
        (None, Some(known)) => Ok(Trust::Pinned(known)),
        (None, None) => {
            let shown = fingerprint_of(endpoint).await?;
            if !args.accept_new {
                ask(endpoint, shown)?;
            }
            Ok(Trust::Pinned(shown))
        }
    }
}

/// Remembers the key of a server that was reached.
pub(crate) fn remember(args: &ConnectArgs, config: &Config, trust: &Trust) -> Result<(), Failure> {
    if let Trust::Pinned(fingerprint) = trust
        && config.pin(&args.server).map_err(Failure::Unexpected)?.is_none()
    {
        config.set_pin(&args.server, *fingerprint).map_err(Failure::Unexpected)?;
    }
    Ok(())
}

/// Says what to do about a key that changed.
pub(crate) fn explain(error: ClientError, args: &ConnectArgs, config: &Config) -> Failure {
    match error {
        ClientError::NotTrusted { endpoint, expected, actual } if args.fingerprint == Some(expected) => {
            Failure::NotTrusted(format!(
                "{endpoint} has the key {actual}, not the one of --fingerprint; nothing was sent"
            ))
        }
        ClientError::NotTrusted { endpoint, expected, actual } => Failure::NotTrusted(format!(
            "{endpoint} HAS ANOTHER KEY: {actual}, not {expected}. Somebody may be in the middle; nothing was sent. If the \
             key was changed on purpose, take the server out of {}",
            config.pins_path().display(),
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
