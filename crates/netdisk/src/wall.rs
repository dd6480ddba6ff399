//! A second wall around the server, kept by the kernel: landlock (landlock(7)).
//!
//! The first one is `openat2` on every open in a home. Should a bug get past it, or into the process, the process itself
//! can open nothing but its store and the folders of its certificate, make no link and no device, run no program and
//! begin no connection. It holds for the thread that raises it and all that come from it, so it is raised before there are
//! others.

use std::fmt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope, make_bitflags,
};

/// What the newest kernels tell apart and this server can do without; on older ones the wall has gaps.
const NEWEST: ABI = ABI::V6;

/// What no server does in its store: run it, make links and devices, control one.
const NEVER: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{Execute | MakeChar | MakeBlock | MakeSock | MakeFifo | MakeSym | IoctlDev});

/// Read by the standard library to know how many cores a container grants.
const CORES: &[&str] = &["/proc/self/cgroup", "/proc/self/mountinfo", "/sys/fs/cgroup"];

/// How high it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// All that it asks for is kept.
    Whole,
    /// The kernel is older and keeps a part of it.
    Partial,
    /// The kernel has no landlock, or one that forbids what the store needs (before Linux 5.19).
    None,
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Whole => "whole",
            Self::Partial => "partial",
            Self::None => "none",
        })
    }
}

/// Raises the wall around this thread and those that it starts from now on.
///
/// `store` is written and read, what stands in the folders of `certificates` is read: by path, because a reload opens
/// files that are put there later.
pub(crate) fn raise(store: &Path, certificates: &[&Path]) -> anyhow::Result<Level> {
    let all = AccessFs::from_all(NEWEST);
    let ruleset = Ruleset::default()
        // Without this right every rename between two directories is refused, and each commit is one.
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let mut ruleset = allow(ruleset, store, all & !NEVER)?;
    for folder in folders_of(certificates) {
        ruleset = allow(ruleset, &folder, AccessFs::ReadFile | AccessFs::ReadDir)?;
    }
    for place in CORES.iter().map(Path::new).filter(|place| place.exists()) {
        let access = if place.is_dir() { AccessFs::ReadFile | AccessFs::ReadDir } else { AccessFs::ReadFile.into() };
        ruleset = allow(ruleset, place, access)?;
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Level::Whole,
        RulesetStatus::PartiallyEnforced => Level::Partial,
        RulesetStatus::NotEnforced => Level::None,
    })
}

fn allow(ruleset: RulesetCreated, place: &Path, access: BitFlags<AccessFs>) -> anyhow::Result<RulesetCreated> {
    let place = PathFd::new(place)?;
    Ok(ruleset.add_rule(PathBeneath::new(place, access))?)
}

/// Where files stand, and where what they are links to stands: certificates are often renewed behind a link.
fn folders_of(files: &[&Path]) -> Vec<PathBuf> {
    let folder = |file: &Path| match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut folders: Vec<PathBuf> = files
        .iter()
        .flat_map(|file| [Some(folder(file)), file.canonicalize().ok().map(|behind| folder(&behind))])
        .flatten()
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    /// Tells a copy of this test that it is the one behind the wall, and where.
    const BEHIND: &str = "NETDISK_TEST_BEHIND_THE_WALL";

    fn is_refused<T>(outcome: std::io::Result<T>) -> bool {
        outcome.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    /// The wall stands for as long as its process does, so a process of its own is behind it.
    #[test]
    fn behind_the_wall_nothing_but_the_store_can_be_opened() {
        if let Some(folder) = std::env::var_os(BEHIND) {
            return behind(Path::new(&folder));
        }
        let folder = tempfile::tempdir().expect("a directory");
        let this = std::env::current_exe().expect("this test");
        let mut child = Command::new(this);
        child.args(["--exact", "wall::tests::behind_the_wall_nothing_but_the_store_can_be_opened", "--nocapture"]);
        let output = child.env(BEHIND, folder.path()).output().expect("it runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
        if said.contains("skipped") {
            eprintln!("skipped: this kernel has no landlock");
        } else {
            assert!(said.contains("the wall stood"), "{said}");
        }
    }

    fn behind(folder: &Path) {
        let (store, outside) = (folder.join("store"), folder.join("outside"));
        for made in [store.join("a"), store.join("b"), folder.join("certs"), folder.join("archive"), outside.clone()] {
            fs::create_dir_all(made).expect("made");
        }
        fs::write(folder.join("archive/key1.pem"), "key").expect("written");
        symlink("../archive/key1.pem", folder.join("certs/key.pem")).expect("a link");
        fs::write(outside.join("f"), "theirs").expect("written");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let open_before = fs::File::open(outside.join("f")).expect("nothing is in the way yet");
        let level = raise(&store, &[&folder.join("certs/key.pem")]).expect("raised");
        if level == Level::None {
            println!("skipped: no landlock");
            return;
        }
        // Threads that come later are behind it, too.
        let looked = std::thread::spawn(move || {
            assert!(is_refused(fs::read(outside.join("f"))));
            assert!(is_refused(fs::write(outside.join("f"), "mine")));
            assert!(is_refused(fs::File::create(outside.join("new"))));
            assert!(is_refused(fs::read_dir("/etc")) && is_refused(fs::read("/etc/passwd")));
            outside
        });
        let outside = looked.join().expect("it looked");
        let store_file = store.join("a/f");
        fs::write(&store_file, "ours").expect("its own store");
        fs::rename(&store_file, store.join("b/f")).expect("from directory to directory, as a commit does");
        assert!(fs::rename(store.join("b/f"), outside.join("f")).is_err(), "not out of it");
        assert!(is_refused(symlink("f", store.join("b/link"))), "no links");
        assert!(is_refused(Command::new("/bin/true").status()), "no programs");
        assert_eq!(fs::read_to_string(folder.join("certs/key.pem")).expect("through the link"), "key");
        fs::read(folder.join("archive/key1.pem")).expect("what stands beside it, as a renewed one will");
        assert!(is_refused(fs::write(folder.join("archive/key1.pem"), "")), "for reading alone");
        assert!(open_before.metadata().is_ok(), "what was open stays so");
        if level == Level::Whole {
            let connected = TcpStream::connect(listener.local_addr().expect("its address"));
            assert!(is_refused(connected), "it answers, and calls nobody");
        }
        println!("the wall stood: {level}");
    }

    #[test]
    fn folders_are_those_of_the_files_and_of_what_they_lead_to() {
        let folder = tempfile::tempdir().expect("a directory");
        let root = folder.path().canonicalize().expect("there");
        for name in ["live", "archive"] {
            fs::create_dir(root.join(name)).expect("made");
        }
        fs::write(root.join("archive/cert1.pem"), "").expect("written");
        symlink("../archive/cert1.pem", root.join("live/cert.pem")).expect("a link");
        let folders = folders_of(&[&root.join("live/cert.pem"), Path::new("no such file.pem")]);
        assert_eq!(folders, [root.join("archive"), root.join("live"), PathBuf::from(".")]);
    }
}
