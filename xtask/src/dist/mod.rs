//! `cargo xtask dist`: a package that can be unpacked on another machine and used.
//!
//! ```text
//! netdisk-VERSION-ARCH/
//!   bin/netdisk                 stripped
//!   man/man1/*.1                one page a command
//!   completions/{bash,zsh,fish}
//!   systemd/                    the hardened unit, its user, an example of its options
//!   Containerfile               takes bin/netdisk
//!   licences/                   of every crate in the binary; LICENSE-* are ours
//!   docs, README.md, ..., SHA256SUMS
//! ```

mod licences;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

/// Options of `cargo xtask dist`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Build for this target, such as x86_64-unknown-linux-musl for a static binary
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
}

/// Files that are packed as they are: from the repository, to the package.
const FILES: &[(&str, &str)] = &[
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("README.md", "README.md"),
    ("README.zh.md", "README.zh.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("SECURITY.md", "SECURITY.md"),
    ("PROTOCOL.md", "PROTOCOL.md"),
    ("packaging/netdisk.service", "systemd/netdisk.service"),
    ("packaging/sysusers.conf", "systemd/sysusers.conf"),
    ("packaging/serve.toml", "systemd/serve.toml"),
    ("packaging/Containerfile", "Containerfile"),
];

/// Where each shell looks for its completions, below `completions/`.
const COMPLETIONS: &[(&str, &str)] =
    &[("bash", "bash/netdisk"), ("zsh", "zsh/_netdisk"), ("fish", "fish/netdisk.fish")];

/// Builds, gathers, checks and packs.
pub(crate) fn dist(root: &Path, args: &Args) -> Result<()> {
    let binary = build(root, args)?;
    let arch =
        args.target.as_deref().map_or(std::env::consts::ARCH, |triple| triple.split('-').next().unwrap_or(triple));
    let libc = if args.target.as_deref().is_some_and(|triple| triple.contains("musl")) { "-musl" } else { "" };
    let name = format!("netdisk-{}-{arch}{libc}", env!("CARGO_PKG_VERSION"));
    let dist = root.join("target/dist");
    let package = dist.join(&name);
    if package.exists() {
        fs::remove_dir_all(&package)?;
    }
    gather(root, &binary, &package)?;
    licences::gather(root, &package.join("licences"))?;
    check_unit(&package)?;
    let files = sum_up(&package)?;

    let archive = dist.join(format!("{name}.tar.gz"));
    pack(root, &dist, &name, &archive)?;
    let sum = format!("{}  {name}.tar.gz\n", sha256(&archive)?);
    fs::write(dist.join(format!("{name}.tar.gz.sha256")), &sum)?;
    check_archive(&dist, &name)?;
    println!("{}: {files} files, {} KiB", archive.display(), fs::metadata(&archive)?.len() / 1024);
    print!("{sum}");
    Ok(())
}

fn build(root: &Path, args: &Args) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "-p", "netdisk"]).current_dir(root);
    let mut folder = root.join("target");
    if let Some(target) = &args.target {
        cargo.args(["--target", target]);
        folder = folder.join(target);
    }
    ensure!(cargo.status()?.success(), "the build failed");
    Ok(folder.join("release/netdisk"))
}

fn gather(root: &Path, binary: &Path, package: &Path) -> Result<()> {
    for (from, to) in FILES {
        copy(&root.join(from), &package.join(to))?;
    }
    for document in fs::read_dir(root.join("docs"))? {
        let document = document?.path();
        if document.extension().is_some_and(|extension| extension == "md") {
            copy(&document, &package.join("docs").join(document.file_name().context("it has a name")?))?;
        }
    }
    let packed = package.join("bin/netdisk");
    copy(binary, &packed)?;
    for (shell, to) in COMPLETIONS {
        let to = package.join("completions").join(to);
        fs::create_dir_all(to.parent().context("it has a parent")?)?;
        fs::write(to, output(Command::new(&packed).args(["completions", shell]))?)?;
    }
    output(Command::new(&packed).arg("man").arg(package.join("man/man1")))?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("it has a parent")?)?;
    fs::copy(from, to).with_context(|| format!("{} is packed", from.display()))?;
    Ok(())
}

/// Runs to a good end and gives what was printed.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(output.stdout)
}

/// Lets systemd read the unit, with the packed binary in the place of the installed one.
fn check_unit(package: &Path) -> Result<()> {
    if Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("SKIPPED: there is no systemd-analyze to check the unit");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let unit = folder.path().join("netdisk.service");
    let text = fs::read_to_string(package.join("systemd/netdisk.service"))?;
    let binary = package.join("bin/netdisk").canonicalize()?;
    fs::write(&unit, text.replace("/usr/local/bin/netdisk", &binary.display().to_string()))?;
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output()?;
    // What it says about other units of the machine is no concern of ours.
    let said = String::from_utf8_lossy(&verified.stderr);
    if said.lines().any(|line| line.contains("netdisk")) {
        bail!("systemd-analyze verify: {said}");
    }
    let exposure =
        Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager"]).arg(&unit).output()?;
    let verdict = String::from_utf8_lossy(&exposure.stdout);
    println!("{}", verdict.lines().last().unwrap_or_default());
    Ok(())
}

/// Writes SHA256SUMS over all files of the package; gives how many there are.
fn sum_up(package: &Path) -> Result<usize> {
    let mut files = files_below(package)?;
    files.sort();
    let mut sums = String::new();
    for file in &files {
        sums.push_str(&format!("{}  {}\n", sha256(file)?, file.strip_prefix(package)?.display()));
    }
    fs::write(package.join("SHA256SUMS"), sums)?;
    Ok(files.len() + 1)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for found in fs::read_dir(folder)? {
            let path = found?.path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    Ok(files)
}

fn sha256(file: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(fs::read(file)?);
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The same tree gives the same archive: no owner, no order and no time of this machine in it.
fn pack(root: &Path, dist: &Path, name: &str, archive: &Path) -> Result<()> {
    let time = output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root))?;
    let time = format!("--mtime=@{}", String::from_utf8(time)?.trim());
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+w,go-w,a+rX", &time]);
    output(
        tar.args(["--use-compress-program=gzip -n -9", "--create", "--file"]).arg(archive).arg(name).current_dir(dist),
    )?;
    Ok(())
}

/// Unpacks what was packed, holds it against its sums, and runs the program.
fn check_archive(dist: &Path, name: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let archive = dist.join(format!("{name}.tar.gz"));
    output(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(folder.path()))?;
    let package = folder.path().join(name);
    output(Command::new("sha256sum").args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(&package))?;
    let version = output(Command::new(package.join("bin/netdisk")).arg("--version"))?;
    ensure!(version == format!("netdisk {}\n", env!("CARGO_PKG_VERSION")).as_bytes(), "it says another version");
    Ok(())
}
