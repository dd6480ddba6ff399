//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use netdisk_client::Endpoint;
use netdisk_model::{Fingerprint, UserName};

use crate::admin::AdminArgs;
use crate::command;
use crate::failure::Failure;
use crate::lab::Lab;
use crate::log::LogFormat;
use crate::paint::When;
use crate::settings::Defaults;

/// A network disk of your own: a server, an interactive shell, and commands for scripts.
///
/// New here? `netdisk try` starts a private server on this machine and leads to a prompt.
#[derive(Debug, Parser)]
#[command(name = "netdisk", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
}

/// What the program is to be.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Try it: a private server on this machine and a shell, in one process
    Try(TryArgs),
    /// Run the server
    Serve(ServeArgs),
    /// Keep a store: accounts, quotas, checks, backups
    Admin(AdminArgs),
    /// List or forget the servers that are known
    #[command(subcommand)]
    Pins(PinsCommand),
    /// Open the interactive shell (so does no command at all)
    Shell,
    /// See what TCP does to messages, and grade your own implementation
    #[command(subcommand)]
    Lab(Lab),
    /// Say which options are in force, and where each comes from
    #[command(after_help = CONFIG)]
    Config,
    /// List the profiles
    Profiles,
    /// Print the completions for a shell of this machine
    #[command(after_help = "Example:\n  netdisk completions bash > ~/.local/share/bash-completion/completions/netdisk")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page
    Man {
        /// Write that of each command into this folder instead
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    #[command(flatten)]
    Command(command::Command),
}

impl Mode {
    /// Whether it takes the options and the configuration file of a client.
    pub(crate) fn is_client(&self) -> bool {
        match self {
            Self::Try(_) | Self::Serve(_) | Self::Admin(_) | Self::Lab(_) => false,
            Self::Completions { .. } | Self::Man { .. } => false,
            Self::Pins(_) | Self::Shell | Self::Config | Self::Profiles | Self::Command(_) => true,
        }
    }
}

/// What to do with what is remembered of servers.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PinsCommand {
    /// List the servers that are known, and by what
    List,
    /// Forget a server: it will be unknown at the next contact
    Forget {
        /// The server, as `list` shows it
        #[arg(value_name = "HOST[:PORT]")]
        host: Endpoint,
    },
}

/// Which server, who, and how to print.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectArgs {
    /// The server
    #[arg(long, global = true, env = "NETDISK_SERVER", value_name = "HOST[:PORT]", default_value = "127.0.0.1:8001")]
    pub(crate) server: Endpoint,
    /// The user; by default who logged in last
    #[arg(long, global = true, env = "NETDISK_USER", value_name = "NAME")]
    pub(crate) user: Option<UserName>,
    /// Read the password from the first line of FILE (`-`: standard input); or set NETDISK_PASSWORD
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Keep pins, logins and history apart under this name, and take its part of the configuration file
    #[arg(long, global = true, env = "NETDISK_PROFILE", value_name = "NAME", value_parser = profile_name)]
    pub(crate) profile: Option<String>,
    /// The fingerprint that the server must have
    #[arg(long, global = true, value_name = "SHA256", conflicts_with_all = ["accept_new", "plaintext"])]
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Trust a server that is not known yet without asking; a changed one is refused still
    #[arg(long, global = true, conflicts_with = "plaintext")]
    pub(crate) accept_new: bool,
    /// Know the server by its certificate: whoever vouches for it must be known to this system
    #[arg(long, global = true, value_name = "WHOSE", conflicts_with_all = ["fingerprint", "accept_new", "plaintext"])]
    pub(crate) ca: Option<Ca>,
    /// No TLS: everybody on the way reads everything, passwords too
    #[arg(long, global = true)]
    pub(crate) plaintext: bool,
    /// Write one line for each frame to FILE (`-`: standard error), secrets blacked out; see `lab view`
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Print one JSON object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only results and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Whether to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
    /// How many jobs of the shell run at once, 1 to 16; the others queue [default: 3]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) jobs: Option<u8>,
    /// Of the configuration file.
    #[arg(skip)]
    pub(crate) defaults: Defaults,
}

/// Whose word for a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ca {
    /// The certificate authorities of this system
    System,
}

/// A profile names a folder.
fn profile_name(text: &str) -> Result<String, String> {
    let good = text.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) && !text.starts_with('.');
    if good && !text.is_empty() { Ok(text.to_owned()) } else { Err("letters, digits, `-`, `_` and `.`".to_owned()) }
}

/// Options of `netdisk try`.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// Where accounts and files are kept
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data: PathBuf,
}

/// Options of `netdisk serve`. Each may stand in the configuration file too; the command line wins.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where accounts and files are kept [default: data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Read options from a TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The certificate with its chain, in PEM; SIGHUP reads it again [default: one of the server's own making]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Whether strangers may make accounts [default: open on loopback, closed elsewhere]
    #[arg(long, value_name = "WHO")]
    pub(crate) registration: Option<RegistrationArg>,
    /// What of the disk no upload gets, such as 500M or 20G [default: 16M]
    #[arg(long, value_name = "SIZE", value_parser = crate::size::parse)]
    pub(crate) min_free: Option<u64>,
    /// How a line of the log on standard error looks [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Print what is in force and exit
    #[arg(long)]
    pub(crate) check: bool,
}

/// Whether strangers may make accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RegistrationArg {
    /// Anybody who reaches the server
    Open,
    /// Who has a code from `netdisk admin invite`
    Invited,
    /// Nobody
    Closed,
}

/// What may stand in the configuration file.
const CONFIG: &str = "\
The file config.toml in the configuration folder may say:
  server = \"nas.local\"          # and user, password_file, ca, color
  put_existing = \"newer\"        # what --existing is when it is not given
  get_existing = \"skip\"
  connections = 4               # how many at once, for many files and large ones
  jobs = 3                      # how many of the shell run at once

  [profile.work]                # the same keys, for `--profile work` alone
  server = \"files.example.org\"
An option wins over the environment, that over the file, a profile over the rest of it.";

/// The parts that are no client, and which options of a client mean something to them nevertheless.
const NO_CLIENT: &[(&str, &[&str])] = &[
    ("serve", &["plaintext", "quiet", "color"]),
    ("try", &["quiet", "color"]),
    ("admin", &["password_file", "json", "quiet", "color"]),
    ("lab", &["quiet", "color"]),
    ("completions", &["quiet", "color"]),
    ("man", &["quiet", "color"]),
];

/// The whole grammar. What a part cannot use is not in its help.
pub(crate) fn grammar() -> Command {
    let whole = Cli::command();
    let shared: Vec<Arg> = whole.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    NO_CLIENT.iter().fold(whole, |whole, (name, takes)| {
        let useless = shared.iter().filter(|arg| !takes.contains(&arg.get_id().as_str()));
        let hidden: Vec<Arg> = useless.map(|arg| arg.clone().hide(true)).collect();
        whole.mut_subcommand(name, |part| part.args(hidden))
    })
}

/// Parses a command line.
pub(crate) fn parse<S: Into<OsString> + Clone>(line: &[S]) -> Result<(ArgMatches, Cli), clap::Error> {
    let matches = grammar().try_get_matches_from(line.iter().cloned())?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok((matches, cli))
}

/// Options of a client say nothing to a server: whoever gives one is mistaken about something.
pub(crate) fn refuse_useless(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(name) = matches.subcommand_name() else { return Ok(()) };
    let Some((_, takes)) = NO_CLIENT.iter().find(|(part, _)| *part == name) else { return Ok(()) };
    let given = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let shared = Cli::command();
    let ids = shared.get_arguments().filter(|arg| arg.is_global_set()).map(|arg| arg.get_id().as_str());
    match ids.filter(|id| !takes.contains(id)).find(given) {
        None => Ok(()),
        Some(id) => Err(Failure::usage(format!("`{name}` takes no --{}", id.replace('_', "-")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        grammar().debug_assert();
    }

    #[test]
    fn the_help_of_a_server_has_no_options_of_a_client() {
        let mut grammar = grammar();
        grammar.build();
        let help = |name: &str| {
            let part = grammar.find_subcommand(name).expect(name);
            part.clone().render_long_help().to_string()
        };
        for (part, takes) in NO_CLIENT {
            for option in ["user", "fingerprint", "profile", "json", "plaintext", "password-file", "server"] {
                let is_shown =
                    help(part).contains(&format!("--{option} ")) || help(part).contains(&format!("--{option}\n"));
                assert_eq!(is_shown, takes.contains(&option.replace('-', "_").as_str()), "{part} --{option}");
            }
        }
        assert!(help("ls").contains("--fingerprint") && help("serve").contains("--listen"));
    }

    #[test]
    fn what_is_hidden_is_refused_wherever_it_stands() {
        for line in [["netdisk", "--user", "alice", "serve"], ["netdisk", "serve", "--user", "alice"]] {
            let (matches, _) = parse(&line).expect("a command line");
            assert!(refuse_useless(&matches).is_err(), "{line:?}");
        }
        let (matches, _) = parse(&["netdisk", "serve", "--plaintext"]).expect("a command line");
        assert!(refuse_useless(&matches).is_ok());
        let (matches, _) = parse(&["netdisk", "lab", "stick", "--json"]).expect("a command line");
        assert!(refuse_useless(&matches).is_err());
    }
}
