//! `netdisk pins`: which servers are known, and by what.

use serde_json::json;

use crate::cli::{ConnectArgs, PinsCommand};
use crate::config::Config;
use crate::failure::Failure;
use crate::output::Output;

/// Lists or forgets servers.
pub(crate) fn pins(args: &ConnectArgs, command: PinsCommand, output: &Output) -> Result<(), Failure> {
    let config = Config::locate(args.profile.as_deref()).map_err(Failure::Unexpected)?;
    match command {
        PinsCommand::List => {
            for (server, pin) in config.pins().map_err(Failure::Unexpected)? {
                output.result(&format!("{server} {pin}"), json!({"event": "pin", "server": server, "pin": pin}));
            }
        }
        PinsCommand::Forget { host } => {
            if !config.forget_pin(&host).map_err(Failure::Unexpected)? {
                return Err(Failure::NotFound(format!("{host} is not known; `pins list` says who is")));
            }
            output.note(
                &format!("forgot {host}; its key is asked about at the next contact"),
                json!({"event": "done", "verb": "forgot", "server": host.to_string()}),
            );
        }
    }
    Ok(())
}
