//! The log: one event, one line, for people or for programs; and the audit file of the server.

use std::io::IsTerminal as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use clap::ValueEnum;
use tracing::Metadata;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, registry};

use crate::failure::Failure;

/// Audit files that are kept, one a day: a quarter of a year.
const AUDIT_FILES_MAX: usize = 92;

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Logs to standard error. `NETDISK_LOG` sets the level. With `audit`, who did what from where, and what came of it,
/// goes into a file of each day in that folder too, whatever the level.
pub(crate) fn start(default: LevelFilter, format: LogFormat, audit: Option<&Path>) -> Result<(), Failure> {
    let level = match std::env::var("NETDISK_LOG") {
        Ok(level) => level.parse().map_err(|error| Failure::usage(format!("NETDISK_LOG: {error}")))?,
        Err(_) => default,
    };
    let ansi = std::io::stderr().is_terminal();
    let lines = layer().with_writer(std::io::stderr).with_ansi(ansi).with_target(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let audit = audit.map(audit_file).transpose()?.map(|file| {
        let events = layer().with_writer(file).with_ansi(false).with_target(false).with_level(false);
        events.json().flatten_event(true).with_filter(filter_fn(is_audited))
    });
    registry().with(lines.with_filter(level)).with(audit).init();
    Ok(())
}

/// What the server says about its peers and users.
fn is_audited(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("netdisk_server") && *metadata.level() <= LevelFilter::INFO
}

/// A file for each day, in a folder that is its owner's alone. Written at once: an event that waits in memory is lost
/// with the process.
fn audit_file(folder: &Path) -> Result<RollingFileAppender, Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Failure::unexpected(anyhow::anyhow!("{}: {error}", folder.display())))?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("audit")
        .filename_suffix("jsonl")
        .max_log_files(AUDIT_FILES_MAX)
        .build(folder)
        .map_err(Failure::unexpected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_audit_files_the_newest_are_kept() {
        let folder = tempfile::tempdir().expect("a directory");
        let audit = folder.path().join("audit");
        std::fs::create_dir(&audit).expect("made");
        for day in 0..AUDIT_FILES_MAX + 20 {
            let name = format!("audit.20{:02}-01-{:02}.jsonl", day / 28, day % 28 + 1);
            std::fs::write(audit.join(name), "{}\n").expect("written");
        }
        // The next day's file is opened, as at midnight.
        let file = audit_file(&audit).expect("opened");
        let kept = std::fs::read_dir(&audit).expect("there").count();
        assert!(kept <= AUDIT_FILES_MAX, "{kept} files");
        drop(file);
    }
}
