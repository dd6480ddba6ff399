//! Builds the program twice: sound, and with the ways to break it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::proof::Extent;
use super::server::Program;

/// What a program that can be broken has in it, and no other.
const MARK: &str = "NETDISK_SABOTAGE";

#[derive(Debug)]
pub(super) struct Programs {
    sound: PathBuf,
    breakable: PathBuf,
}

impl Programs {
    /// Quickly as the tests have it built, from what they have built; fully as it is released. Copies go to `folder`:
    /// the next build puts another program in the same place.
    pub(super) fn build(root: &Path, extent: Extent, folder: &Path) -> Result<Self> {
        let copy = |features: &[&str], name: &str| {
            let built = build(root, extent, features)?;
            let to = folder.join(name);
            fs::copy(&built, &to).with_context(|| built.display().to_string())?;
            Ok::<PathBuf, anyhow::Error>(to)
        };
        // The sound one last: it is what stays in the target folder.
        let breakable = copy(&["--features", "sabotage"], "netdisk-breakable")?;
        let sound = copy(&[], "netdisk-sound")?;
        ensure!(has_mark(&breakable)?, "the controls would run a program that cannot be broken");
        ensure!(!has_mark(&sound)?, "the program can be broken by its environment");
        Ok(Self { sound, breakable })
    }

    pub(super) fn sound(&self) -> Program {
        Program { path: self.sound.clone(), sabotage: None }
    }

    pub(super) fn broken(&self, sabotage: &'static str) -> Program {
        Program { path: self.breakable.clone(), sabotage: Some(sabotage) }
    }
}

fn build(root: &Path, extent: Extent, features: &[&str]) -> Result<PathBuf> {
    let profile: &[&str] = if extent == Extent::Full { &["--release"] } else { &[] };
    let output = Command::new("cargo")
        .args(["build", "--quiet", "--locked", "--package", "netdisk", "--message-format=json-render-diagnostics"])
        .args(profile)
        .args(features)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo")?;
    ensure!(output.status.success(), "the program does not build");
    let messages = String::from_utf8(output.stdout)?;
    let executable = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executable = executable.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    executable.context("cargo names no program")
}

fn has_mark(program: &Path) -> Result<bool> {
    let bytes = fs::read(program)?;
    Ok(bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes()))
}
