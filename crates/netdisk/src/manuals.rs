//! `netdisk completions` and `netdisk man`: what a package of the program brings along, read off its grammar.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap_complete::Shell;
use netdisk_client::ClientError;

use crate::cli;
use crate::failure::Failure;

/// Prints the completions for a shell of this machine.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli::grammar(), "netdisk", &mut text);
    let text = String::from_utf8(text).map_err(Failure::unexpected)?;
    print(with_profiles(shell, &text).as_bytes())
}

/// Makes the completions ask the program for the profiles, when Tab is pressed: clap knows only values that are the same
/// for everybody. What a folder is called is never run.
fn with_profiles(shell: Shell, text: &str) -> String {
    const NAMES: &str = r#"netdisk profiles --quiet --color never 2>/dev/null | cut -d" " -f1"#;
    let (option, values, instead) = match shell {
        Shell::Bash => {
            let names = format!(r#"COMPREPLY=($({NAMES} | grep -- "^${{cur}}"))"#);
            ("--profile)", r#"COMPREPLY=($(compgen -f "${cur}"))"#, names)
        }
        Shell::Zsh => ("'--profile=", ":NAME:_default", format!(":NAME:{{compadd -- $({NAMES})}}")),
        Shell::Fish => ("-l profile ", " -r", format!(" -r -f -a '({NAMES})'")),
        _ => return text.to_owned(),
    };
    let mut of_option = false;
    let lines = text.split_inclusive('\n').map(|line| {
        of_option = line.contains(option) || of_option && !line.contains(";;");
        if of_option { line.replace(values, &instead) } else { line.to_owned() }
    });
    lines.collect()
}

/// Prints the manual page of the program; or writes it and that of each command into a folder.
pub(crate) fn man(folder: Option<PathBuf>) -> Result<(), Failure> {
    let Some(folder) = folder else {
        let mut text = Vec::new();
        clap_mangen::Man::new(cli::grammar()).render(&mut text).map_err(Failure::unexpected)?;
        return print(&text);
    };
    let written = fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(cli::grammar(), &folder));
    written.map_err(|error| ClientError::Local { path: folder, error }.into())
}

fn print(text: &[u8]) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text) {
        // A reader that has gone (`| head`) has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(Failure::output),
    }
}
