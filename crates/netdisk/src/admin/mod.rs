//! `netdisk admin`: for the keeper of a store, on the store itself.

mod check;
mod invite;
mod user;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use netdisk_storage::{AccountsError, DiskStore, Options, Sharing};

use self::user::UserCommand;
use crate::cli::ConnectArgs;
use crate::failure::Failure;
use crate::output::Output;

/// Options of `netdisk admin`.
#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// Where accounts and files are kept
    #[arg(long, global = true, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    #[command(subcommand)]
    command: AdminCommand,
}

/// What the keeper does.
#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Accounts: add, list, disable, enable, passwords, quotas; also while the server runs
    #[command(subcommand)]
    User(UserCommand),
    /// Make a code with which somebody may make one account; also while the server runs
    Invite {
        /// How many days it is good
        #[arg(long, value_name = "DAYS", default_value_t = 7)]
        days: u16,
    },
    /// Make the database agree with the files: count anew, adopt what was put there by hand, name what is missing. Not while
    /// the server runs
    Fsck,
    /// Read all files again and name what rotted; also while the server runs
    Scrub,
    /// Copy accounts and files as they are now to a new directory; also while the server runs
    Backup {
        /// The directory; it must not exist
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Make a store of a backup; `--data` must be empty or not exist
    Restore {
        /// What `backup` made
        #[arg(value_name = "DIR")]
        from: PathBuf,
    },
}

/// Runs one command of the keeper.
pub(crate) fn admin(args: AdminArgs, connect: &ConnectArgs, output: &Output) -> Result<(), Failure> {
    // A tree may be deeper than there are descriptors by default, and each level takes one.
    crate::serve::raise_descriptor_limit();
    let data = &args.data;
    match args.command {
        AdminCommand::User(command) => user::run(data, command, connect.password_file.as_deref(), output),
        AdminCommand::Invite { days } => invite::run(data, days, output),
        AdminCommand::Fsck => check::fsck(&open(data, Sharing::Alone)?, output),
        AdminCommand::Scrub => check::scrub(&open(data, Sharing::Beside)?, output),
        AdminCommand::Backup { to } => check::backup(&open(data, Sharing::Beside)?, &to, output),
        AdminCommand::Restore { from } => check::restore(&from, data, output),
    }
}

/// Opens a store that exists: a misspelt directory must not become one.
fn open(data: &Path, sharing: Sharing) -> Result<DiskStore, Failure> {
    if !data.join("netdisk.db").exists() {
        let text = format!("there is no store in {}; `--data DIR` says where it is", data.display());
        return Err(Failure::NotFound(text));
    }
    DiskStore::open_with(data, Options { sharing, ..Options::default() }).map_err(failure)
}

/// What an error of the store is for its keeper.
fn failure(error: AccountsError) -> Failure {
    match error {
        AccountsError::InUse(_) => Failure::Refused(format!("{error}; stop it first")),
        AccountsError::NameTaken | AccountsError::Occupied(_) => Failure::Refused(error.to_string()),
        AccountsError::NoSuchAccount => Failure::NotFound(error.to_string()),
        AccountsError::BadPassword(_) => Failure::usage(error.to_string()),
        error => Failure::unexpected(error),
    }
}
