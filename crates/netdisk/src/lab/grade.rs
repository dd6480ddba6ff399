//! `netdisk lab grade`: somebody's own server or client, held against PROTOCOL.md.

use std::time::Duration;

use clap::{Args, ValueEnum};
use netdisk_lab::grade::{self, ClientOptions, Format, Target};
use netdisk_lab::{Paint, limits};

use crate::failure::Failure;

/// Options of `lab grade`.
#[derive(Debug, Args)]
pub(crate) struct GradeArgs {
    /// The server, which speaks without TLS and registers anybody
    #[arg(value_name = "HOST:PORT", required_unless_present = "client", conflicts_with = "client")]
    target: Option<String>,
    /// A client instead: its command line, which takes `--server HOST:PORT --plaintext --user NAME` and one of
    /// `register`, `ls PATH`, `put LOCAL REMOTE`, `get REMOTE LOCAL`, and the password in NETDISK_PASSWORD
    #[arg(long = "client", value_name = "CMD")]
    client: Option<String>,
    /// The highest level: framing, opening, requests, bodies, limits, pace
    #[arg(long, value_name = "LEVEL", default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=6))]
    level: u8,
    /// Only this case
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// How to print the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: FormatArg,
    /// How many seconds to wait for a reply, or for a command of a client [default: 5, or 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: Option<u64>,
}

/// How to print a report.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    Text,
    Json,
    Junit,
}

/// Grades and prints; a case that failed is a failure.
pub(super) fn grade(args: GradeArgs, paint: Paint) -> Result<(), Failure> {
    let patience = args.patience.map(Duration::from_secs);
    let report = crate::runtime()?.block_on(async {
        match (args.target, args.client) {
            (_, Some(command)) => {
                let patience = patience.unwrap_or(limits::CLIENT_TIMEOUT);
                let options = ClientOptions { command, level_max: args.level, only: args.case, patience };
                grade::grade_client(&options).await.map_err(super::failure)
            }
            (Some(server), None) => {
                let target = Target::new(server, patience.unwrap_or(limits::PATIENCE));
                Ok(grade::grade_server(&target, args.level, args.case.as_deref()).await)
            }
            (None, None) => Err(Failure::usage("which server, or which --client?")),
        }
    })?;
    let format = match args.format {
        FormatArg::Text => Format::Text(paint),
        FormatArg::Json => Format::Json,
        FormatArg::Junit => Format::JUnit,
    };
    super::print(|out| Ok(report.print(format, out)?))?;
    match (report.failed().len(), report.cases.len()) {
        (_, 0) => Err(Failure::usage("no such case")),
        (0, _) => Ok(()),
        (failed, all) => Err(Failure::SomeFailed { failed, all }),
    }
}
