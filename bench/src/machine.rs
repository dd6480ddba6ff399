//! The machine that figures are from, in a line.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::peer::Peer;
use crate::programs::Programs;

/// Cores, memory, kernel, file system, compiler, day and commit.
pub(crate) fn line(folder: &Path) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").and_then(|kib| kib.split(' ').next()?.parse::<u64>().ok());
    let gib = memory.unwrap_or_default() as f64 / f64::from(1 << 20);
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let today = jiff::Zoned::now().date();
    let [rust, commit] = [said("rustc", &["--version"]), said("git", &["describe", "--always", "--dirty"])];
    Ok(format!(
        "{cores} cores ({processor}), {gib:.0} GiB, Linux {kernel}, {}, {rust}, {today}, commit {commit}",
        file_system(folder)
    ))
}

/// How programs are asked for their version; the others do not say it without being started.
const VERSIONS: &[(&str, &str)] = &[
    ("rsync", "--version"),
    ("nginx", "-v"),
    ("dufs", "--version"),
    ("sshd", "-V"),
    ("curl", "--version"),
    ("lftp", "--version"),
    ("rclone", "--version"),
    ("pure-ftpd", "--help"),
];

/// The versions of the programs that `peers` need, as far as they say them.
pub(crate) fn versions(programs: &Programs, peers: &[Box<dyn Peer>]) -> String {
    let needed = VERSIONS.iter().filter(|(name, _)| peers.iter().any(|peer| peer.programs().contains(name)));
    let lines = needed.filter_map(|(name, how)| {
        let output = Command::new(programs.find(name)?).arg(how).stdin(Stdio::null()).output().ok()?;
        let said = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&said).into_owned();
        // Some complain of the option first.
        let line = text.lines().find(|line| line.contains(|character: char| character.is_ascii_digit()))?;
        Some(line.split_whitespace().take(4).collect::<Vec<_>>().join(" "))
    });
    lines.collect::<Vec<_>>().join("; ")
}

/// How busy the machine is: the one-minute load average.
pub(crate) fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

fn field(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success());
    output.map_or_else(
        || format!("unknown {program}"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The kind of file system under `folder`: the mount whose place is the longest beginning of it (proc_pid_mounts(5)).
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let around = fields.filter(|fields| fields.len() > 2 && folder.starts_with(fields[1]));
    let nearest = around.max_by_key(|fields| fields[1].len());
    nearest.map_or_else(|| "unknown file system".to_owned(), |fields| fields[2].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_what_counts() -> Result<()> {
        let line = line(Path::new("/proc/self"))?;
        for part in ["cores", "GiB", "Linux", " proc,", "commit"] {
            assert!(line.contains(part), "{line}");
        }
        assert!(load()? >= 0.0);
        Ok(())
    }
}
