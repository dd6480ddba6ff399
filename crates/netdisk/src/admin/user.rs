//! `netdisk admin user`: accounts.

use std::path::Path;

use clap::{Args, Subcommand};
use indicatif::BinaryBytes;
use netdisk_model::{Limits, Password, UserName};
use netdisk_storage::{AccountSummary, Accounts as _, DiskStore, Options, Sharing, Standing};
use serde_json::json;

use super::failure;
use crate::failure::Failure;
use crate::output::{Output, local_time};
use crate::passwords::{self, Purpose};

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make an account
    Add {
        /// Whose
        name: UserName,
    },
    /// List all accounts, with what they use and may use
    List,
    /// Set another password; all logins end
    Passwd {
        /// Whose
        name: UserName,
    },
    /// Let an account in no more; its files stay
    Disable {
        /// Whose
        name: UserName,
    },
    /// Let a disabled account in again
    Enable {
        /// Whose
        name: UserName,
    },
    /// Say how much an account may use; what is not said stays as it is
    Quota(QuotaArgs),
}

/// How much an account may use.
#[derive(Debug, Args)]
pub(super) struct QuotaArgs {
    /// Whose
    name: UserName,
    /// Bytes in all its files together, such as 500M, 20G, or `none` for no limit (K, M, G and T count in 1024)
    #[arg(long, value_name = "SIZE", value_parser = size_or_none)]
    space: Option<Limit>,
    /// How many files, or `none` for no limit
    #[arg(long, value_name = "COUNT", value_parser = count_or_none)]
    files: Option<Limit>,
}

/// A limit that was said, or that there is to be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit(Option<u64>);

fn count_or_none(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        text => text.parse().map(|count| Limit(Some(count))).map_err(|_| "a number, or `none`".to_owned()),
    }
}

fn size_or_none(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    parse_size(text).map(|size| Limit(Some(size)))
}

/// A size in bytes, as people write it.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, power) = match text.to_ascii_uppercase().as_str() {
        upper if upper.ends_with('K') => (&text[..text.len() - 1], 1),
        upper if upper.ends_with('M') => (&text[..text.len() - 1], 2),
        upper if upper.ends_with('G') => (&text[..text.len() - 1], 3),
        upper if upper.ends_with('T') => (&text[..text.len() - 1], 4),
        _ => (text, 0),
    };
    let number: Option<u64> = digits.parse().ok();
    // SQLite's numbers are signed.
    let size =
        number.and_then(|number| number.checked_mul(1024_u64.pow(power))).filter(|size| *size <= i64::MAX as u64);
    size.ok_or_else(|| "a number of bytes, with K, M, G or T behind it if you like".to_owned())
}

/// Runs one command.
pub(super) fn run(
    data: &Path,
    command: UserCommand,
    password_file: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    let store = match &command {
        // The first account may be made before the server first runs.
        UserCommand::Add { .. } => {
            let options = Options { sharing: Sharing::Beside, ..Options::default() };
            DiskStore::open_with(data, options).map_err(failure)?
        }
        _ => super::open(data, Sharing::Beside)?,
    };
    let runtime = crate::runtime()?;
    runtime.block_on(async {
        let done = |verb: &str, name: &UserName| {
            output.note(&format!("{verb} {name}"), json!({"event": "done", "verb": verb, "user": name}));
        };
        match command {
            UserCommand::Add { name } => {
                store.register(&name, password(&name, password_file)?).await.map_err(failure)?;
                done("added", &name);
            }
            UserCommand::List => {
                for summary in store.summaries().await.map_err(failure)? {
                    print(&summary, output);
                }
            }
            UserCommand::Passwd { name } => {
                check(&store, &name).await?;
                store.set_password(&name, password(&name, password_file)?).await.map_err(failure)?;
                done("set the password of", &name);
            }
            UserCommand::Disable { name } => {
                store.set_standing(&name, Standing::Disabled).await.map_err(failure)?;
                done("disabled", &name);
            }
            UserCommand::Enable { name } => {
                store.set_standing(&name, Standing::Active).await.map_err(failure)?;
                done("enabled", &name);
            }
            UserCommand::Quota(QuotaArgs { name, space, files }) => {
                let before = check(&store, &name).await?.usage.limits;
                let limits = Limits {
                    bytes: space.map_or(before.bytes, |limit| limit.0),
                    files: files.map_or(before.files, |limit| limit.0),
                };
                if limits != before {
                    store.set_limits(&name, limits).await.map_err(failure)?;
                }
                print(&check(&store, &name).await?, output);
            }
        }
        Ok(())
    })
}

/// Finds an account before anything is asked about it.
async fn check(store: &DiskStore, name: &UserName) -> Result<AccountSummary, Failure> {
    let summaries = store.summaries().await.map_err(failure)?;
    let found = summaries.into_iter().find(|summary| summary.user == *name);
    found.ok_or_else(|| Failure::NotFound(format!("there is no account {name}")))
}

fn password(name: &UserName, file: Option<&Path>) -> Result<Password, Failure> {
    match passwords::given(file)? {
        Some(password) => Ok(password),
        None => passwords::ask(name.as_str(), Purpose::Register),
    }
}

fn print(summary: &AccountSummary, output: &Output) {
    let AccountSummary { user, standing, created_at, usage } = summary;
    let of = |used: String, limit: Option<String>| match limit {
        Some(limit) => format!("{used} of {limit}"),
        None => used,
    };
    let bytes = |bytes: u64| BinaryBytes(bytes).to_string();
    let space = of(bytes(usage.bytes), usage.limits.bytes.map(bytes));
    let files = of(usage.files.to_string(), usage.limits.files.map(|max| max.to_string()));
    let disabled = if *standing == Standing::Disabled { "  disabled" } else { "" };
    output.result(
        &format!("{user}  {space}, {files} files, since {}{disabled}", local_time(*created_at)),
        json!({
            "event": "account", "user": user, "disabled": *standing == Standing::Disabled, "created_at": created_at,
            "bytes": usage.bytes, "files": usage.files,
            "bytes_max": usage.limits.bytes, "files_max": usage.limits.files,
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("1023"), Ok(1023));
        assert_eq!(parse_size("2k"), Ok(2048));
        assert_eq!(parse_size("500M"), Ok(500 << 20));
        assert_eq!(parse_size("3G"), Ok(3 << 30));
        assert_eq!(parse_size("1T"), Ok(1 << 40));
        for wrong in ["", "G", "-1", "1.5G", "1GB", "99999999T", "夏"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
