//! `netdisk config` and `netdisk profiles`: what is in force, from where, and what else there is.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::ConnectArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{Setting, SettingsFile};

/// Says what is in force and where it comes from.
pub(crate) fn config(args: &ConnectArgs, settings: &[Setting], output: &Output) -> Result<(), Failure> {
    let file = SettingsFile::read()?;
    let folder = Config::locate(args.profile.as_deref()).map_err(Failure::Unexpected)?;
    let path = file.path.display().to_string();
    let note = if file.is_there { "" } else { "not there" };
    show(output, "file", Some(&path), note);
    show(output, "profile", args.profile.as_deref(), "");
    show(output, "folder", Some(&folder.folder().display().to_string()), "pins, logins, history");
    for Setting { key, value, origin } in settings {
        show(output, key, value.as_deref(), origin);
    }
    Ok(())
}

fn show(output: &Output, key: &str, value: Option<&str>, origin: &str) {
    let text = format!("{key:<14} {:<28} {origin}", value.unwrap_or("none"));
    let event = json!({"event": "setting", "key": key, "value": value, "origin": origin});
    output.result(text.trim_end(), event);
}

/// Lists the profiles: those of the file, and those that have a folder.
pub(crate) fn profiles(output: &Output) -> Result<(), Failure> {
    let file = SettingsFile::read()?;
    let folders = Config::profile_names().map_err(Failure::Unexpected)?;
    let names: BTreeSet<&str> = file.profile_names().chain(folders.iter().map(String::as_str)).collect();
    for name in names {
        let (server, user) = file.account_of(name);
        let (server, user) = (server.map(ToString::to_string), user.map(ToString::to_string));
        let text = format!("{name:<14} {:<28} {}", server.as_deref().unwrap_or("-"), user.as_deref().unwrap_or("-"));
        output.result(&text, json!({"event": "profile", "name": name, "server": server, "user": user}));
    }
    Ok(())
}
