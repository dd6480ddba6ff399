//! File systems for one proof, made and mounted for it, and taken away with it; and the switch that cuts their power.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// Size of an image in bytes; what is not written costs nothing.
const IMAGE_LEN: u64 = 4 << 30;

/// An image that shows whether any can be mounted.
const SMALL_IMAGE_LEN: u64 = 16 << 20;

/// `noauto_da_alloc`: ext4 is not to repair a missing fsync behind our back. `commit`: nor is its clock.
const OPTIONS: &str = "loop,noauto_da_alloc,commit=600";

/// A file system is busy for a moment after its last user has gone.
const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whoever copied our mounts into a namespace of its own has had time to end by then.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(60);

/// Something mounted. Dropped, it is unmounted.
#[derive(Debug)]
pub(super) struct Mount {
    at: PathBuf,
    is_mounted: bool,
}

impl Mount {
    /// A file system in memory of so many bytes and files.
    pub(super) fn in_memory(at: &Path, len: u64, files: u64) -> Result<Self> {
        fs::create_dir_all(at)?;
        run("mount", &["-t", "tmpfs", "-o", &format!("size={len},nr_inodes={files}"), "tmpfs", text(at)?])?;
        Ok(Self { at: at.to_owned(), is_mounted: true })
    }

    fn of_image(image: &Path, at: &Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        run("mount", &["-t", "ext4", "-o", OPTIONS, text(image)?, text(at)?])?;
        Ok(Self { at: at.to_owned(), is_mounted: true })
    }

    pub(super) fn at(&self) -> &Path {
        &self.at
    }

    /// Mounts it again in place, read-only or not.
    pub(super) fn remount(&self, how: &str) -> Result<()> {
        run("mount", &["-o", &format!("remount,{how}"), text(&self.at)?])
    }

    fn end(mut self) -> Result<()> {
        self.is_mounted = false;
        self.unmount()
    }

    fn unmount(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            match run("umount", &[text(&self.at)?]) {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > UNMOUNT_TIMEOUT => return Err(error),
                Err(_) => std::thread::park_timeout(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !self.is_mounted {
            return;
        }
        if let Err(error) = self.unmount() {
            eprintln!("durability: {} stays mounted: {error:#}", self.at.display());
        }
    }
}

/// An ext4 file system in a file.
#[derive(Debug)]
pub(super) struct Image {
    file: PathBuf,
    at: PathBuf,
    mount: Option<Mount>,
}

impl Image {
    /// Makes and mounts it.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        Self::make_of(folder, IMAGE_LEN)
    }

    fn make_of(folder: &Path, len: u64) -> Result<Self> {
        let (file, at) = (folder.join("disk.ext4"), folder.join("disk"));
        fs::create_dir_all(folder)?;
        File::create(&file)?.set_len(len)?;
        run("mkfs.ext4", &["-q", "-F", text(&file)?])?;
        let mount = Some(Mount::of_image(&file, &at)?);
        Ok(Self { file, at, mount })
    }

    pub(super) fn mounted_at(&self) -> &Path {
        &self.at
    }

    /// Unmounts and mounts: what was not on the disk is forgotten, and the journal is replayed.
    pub(super) fn mount_anew(&mut self) -> Result<()> {
        if let Some(mount) = self.mount.take() {
            mount.end()?;
            self.wait_until_released()?;
        }
        self.mount = Some(Mount::of_image(&self.file, &self.at)?);
        Ok(())
    }

    /// A process in another mount namespace may hold what is unmounted here; mounting it again would bring back the file
    /// system that was cut, and not what is on its disk.
    fn wait_until_released(&self) -> Result<()> {
        let began = Instant::now();
        while !output("losetup", &["--associated", text(&self.file)?])?.is_empty() {
            ensure!(began.elapsed() < RELEASE_TIMEOUT, "{} is held by another mount namespace", self.file.display());
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Reads a directory a line, and has its ext4 stop as it is: EXT4_IOC_SHUTDOWN (fs/ext4/ext4.h), with the flag that
/// the journal is not flushed first. In Python because an ioctl by number is unsafe in Rust; kept running because its
/// start would take longer than what is to be interrupted.
const SWITCH: &str = "
import fcntl, os, struct, sys
for line in sys.stdin:
    at = os.open(line.rstrip('\\n'), os.O_RDONLY)
    fcntl.ioctl(at, 0x8004587d, struct.pack('I', 2))
    os.close(at)
    print('cut', flush=True)
";

/// Cuts the power of file systems.
#[derive(Debug)]
pub(super) struct PowerSwitch {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl PowerSwitch {
    pub(super) fn new() -> Result<Self> {
        let mut child = Command::new("python3")
            .args(["-c", SWITCH])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("python3")?;
        let to = child.stdin.take().context("piped")?;
        let from = BufReader::new(child.stdout.take().context("piped")?);
        Ok(Self { child, to, from })
    }

    /// Nothing that is written below `at` from now on, or is not on its disk yet, ever gets there.
    pub(super) fn cut(&mut self, at: &Path) -> Result<()> {
        writeln!(self.to, "{}", text(at)?)?;
        let mut said = String::new();
        self.from.read_line(&mut said)?;
        ensure!(said == "cut\n", "the power of {} was not cut", at.display());
        Ok(())
    }
}

impl Drop for PowerSwitch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Why nothing can be mounted here, if so: a small image is tried.
pub(super) fn why_not() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let try_it = || {
        let folder = tempfile::tempdir()?;
        Image::make_of(folder.path(), SMALL_IMAGE_LEN).map(drop)
    };
    try_it().err().map(|error| format!("{error:#}"))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("UTF-8")
}

pub(super) fn run(command: &str, args: &[&str]) -> Result<()> {
    output(command, args).map(drop)
}

/// Runs a command; gives what it says.
fn output(command: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(command).args(args).output().with_context(|| command.to_owned())?;
    if !output.status.success() {
        // What follows the first line is advice.
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command} {}: {}", args.join(" "), said.lines().next().unwrap_or_default());
    }
    Ok(String::from_utf8(output.stdout)?)
}
