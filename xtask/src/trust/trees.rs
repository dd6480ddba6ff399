//! P13: a whole tree from an evil server, into a folder in which links are planted, one of them while it is fetched.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use netdisk_client::{Destination, Existing, GetRoot, Transfers, Trust, dial};
use netdisk_model::Password;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::evil::{answers, serve, snapshot};
use super::peer::{data, end, frame};
use super::scene::{Effort, PASSWORD, Random};
use super::table::Row;

/// Names that stand there already, that a part file has, that other file systems do not tell apart.
const NAMES: &[&str] = &[
    "kept",
    "kept.part",
    "f",
    "F",
    "d",
    "D",
    "link",
    "a",
    "A",
    "a.part",
    "new",
    "secret",
    "deep",
    "-rf",
    "...",
    "~",
    "CON",
    "é",
];

/// Names that no server may have: one of them spoils a listing.
const UNFAIR: &[&str] = &["e\u{301}", "..", ".", "", "a\\b", "\u{1b}x"];

pub(crate) fn probe(effort: &Effort, runtime: &Runtime) -> Result<Row> {
    let server = runtime.block_on(serve(effort.random("trees"), tree_answers))?;
    let mut random = effort.random("trees fetched");
    let sessions = effort.pick(200, 5_000);
    let (mut failed, mut made) = (0, 0);
    for _ in 0..sessions {
        let scene = Scene::new()?;
        let existing = random.pick(&["replace", "refuse", "skip", "newer", "rename"]);
        let ended = scene.while_swapped(|| {
            // Whatever comes of it, it ends.
            let fetching = async { timeout(Duration::from_secs(30), fetch(server, &scene.chosen(), existing)).await };
            runtime.block_on(fetching).is_ok()
        })?;
        failed += u64::from(!ended) + scene.spoilt(existing)?;
        made += scene.made()?;
    }
    Ok(Row {
        promise: "P13",
        what: "trees from an evil server, links in their way and one swapped in".to_owned(),
        tried: sessions,
        failed,
        figure: format!("{made} files and directories came of them, none elsewhere"),
        control: "a client that joins the server's names: wrote elsewhere",
        control_failed: naive(&mut random)?,
    })
}

async fn fetch(server: SocketAddr, chosen: &Path, existing: &str) -> Result<()> {
    let door = dial(&server.to_string().parse()?, &Trust::Plaintext).await?;
    let mut client = door.log_in(&"alice".parse()?, Password::new(PASSWORD), false).await?;
    let existing = match existing {
        "replace" => Existing::Replace,
        "refuse" => Existing::Refuse,
        "skip" => Existing::Skip,
        "newer" => Existing::Newer,
        _ => Existing::Rename,
    };
    let root = GetRoot { remote: "/t".parse()?, at: "/".parse()?, is_tree: true };
    let transfers = Transfers::new(&mut client).existing(existing);
    // It may fail as it likes.
    drop(transfers.get(Destination::open(chosen)?, vec![root]).await);
    Ok(())
}

/// A listing that a client may believe, with names chosen ill; files as they were asked for; now and then plain evil.
fn tree_answers(request: &Value, random: &mut Random) -> Vec<Vec<u8>> {
    if random.below(12) == 0 {
        return answers(request, random);
    }
    let message = |value: Value| frame(value.to_string().as_bytes());
    let id = &request["id"];
    match request["type"].as_str() {
        Some("list") => {
            let entries: Vec<Value> = (0..1 + random.below(12)).map(|_| entry(&path(random), random)).collect();
            let end = json!({"id": id, "type": "end", "count": entries.len(), "skipped": 0});
            vec![message(json!({"id": id, "type": "entries", "entries": entries})), message(end)]
        }
        Some("download") => {
            let mut entry = entry(request["path"].as_str().unwrap_or_default(), random);
            (entry["kind"], entry["size"]) = (json!("file"), json!(5));
            vec![
                message(json!({"id": id, "type": "ready", "offset": 0, "entry": entry})),
                data(b"hello"),
                message(end(id.as_u64().unwrap_or(0), b"hello")),
            ]
        }
        _ => answers(request, random),
    }
}

fn path(random: &mut Random) -> String {
    let depth = if random.below(50) == 0 { 63 } else { 1 + random.below(4) };
    let mut path = "/t".to_owned();
    for _ in 0..depth {
        path.push('/');
        path.push_str(random.pick(NAMES));
    }
    match random.below(100) {
        0 => path = format!("{path}/{}/x", random.pick(UNFAIR)),
        1 | 2 => path.push_str(&"n".repeat(250)),
        _ => {}
    }
    path
}

fn entry(path: &str, random: &mut Random) -> Value {
    let size = random.pick(&[5, 5, 5, 5, 5, 5, 2 << 20, u64::MAX]);
    let kind = random.pick(&["file", "file", "directory", "other"]);
    let modified = random.pick(&[0, i64::MAX, i64::MIN, 1_760_000_000_000]);
    json!({"path": path, "kind": kind, "size": size, "modified": modified, "version": "00000000000000ff", "mode": 0o4777})
}

/// A chosen folder with links in it, and what they lead to.
struct Scene(TempDir);

impl Scene {
    fn new() -> Result<Self> {
        let scene = Self(tempfile::tempdir()?);
        let (chosen, outside) = (scene.chosen(), scene.outside());
        fs::create_dir_all(chosen.join("d"))?;
        fs::create_dir_all(outside.join("deep"))?;
        fs::write(outside.join("secret"), "mine")?;
        fs::write(chosen.join("kept"), "mine")?;
        for (name, target) in scene.planted() {
            symlink(target, name)?;
        }
        symlink(&outside, scene.swapped())?;
        Ok(scene)
    }

    fn chosen(&self) -> PathBuf {
        self.0.path().join("chosen")
    }

    fn outside(&self) -> PathBuf {
        self.0.path().join("outside")
    }

    /// The link that changes places with a directory of the chosen folder.
    fn swapped(&self) -> PathBuf {
        self.0.path().join("swapped")
    }

    fn planted(&self) -> [(PathBuf, PathBuf); 5] {
        let (chosen, outside) = (self.chosen(), self.outside());
        [
            (chosen.join("link"), outside.clone()),
            (chosen.join("f"), outside.join("secret")),
            (chosen.join("kept.part"), outside.join("secret")),
            (chosen.join("a.part"), outside.join("new")),
            (chosen.join("d/link"), outside),
        ]
    }

    /// Works while `d` is a directory and a link out of the folder by turns.
    fn while_swapped<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let (directory, link) = (self.chosen().join("d"), self.swapped());
        let stop = AtomicBool::new(false);
        let worked = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Somebody may have removed one of them: then nothing is swapped any more, and it is found below.
                    renameat_with(CWD, &directory, CWD, &link, RenameFlags::EXCHANGE).ok();
                    std::thread::yield_now();
                }
            });
            let worked = work();
            stop.store(true, Ordering::Relaxed);
            worked
        });
        if directory.is_symlink() {
            renameat_with(CWD, &directory, CWD, &link, RenameFlags::EXCHANGE)?;
        }
        Ok(worked)
    }

    /// How much is not as it must be, whatever was sent.
    fn spoilt(&self, existing: &str) -> Result<u64> {
        let fresh = Self::new()?;
        let below = |folder: &Path, root: &Path| -> Result<Vec<_>> {
            Ok(snapshot(folder)?
                .into_iter()
                .map(|(path, of)| (path.strip_prefix(root).map(Path::to_owned), of))
                .collect())
        };
        let mut spoilt = u64::from(below(&self.outside(), self.0.path())? != below(&fresh.outside(), fresh.0.path())?);
        let may_replace = matches!(existing, "replace" | "newer");
        spoilt += u64::from(!may_replace && fs::read(self.chosen().join("kept"))? != b"mine");
        spoilt += u64::from(fs::read_dir(self.0.path())?.count() != 3);
        for (path, (mode, _)) in snapshot(&self.chosen())? {
            let is_planted = self.planted().iter().any(|(name, _)| *name == path);
            let is_fair = match mode & 0o170_000 {
                0o100_000 => mode & 0o7_111 == 0,
                0o040_000 => mode & 0o7_000 == 0,
                0o120_000 => is_planted,
                _ => false,
            };
            if !is_fair {
                eprintln!("  {existing}: {} {mode:o}", path.display());
            }
            spoilt += u64::from(!is_fair);
        }
        for (name, target) in self.planted() {
            // Nobody asked for a link to be replaced, unless files that stand there may be.
            spoilt += u64::from(!may_replace && fs::read_link(name).ok() != Some(target));
        }
        Ok(spoilt)
    }

    /// How much came of it.
    fn made(&self) -> Result<u64> {
        let kept = self.planted().len() + 2;
        Ok((snapshot(&self.chosen())?.len() as u64).saturating_sub(kept as u64))
    }
}

/// The broken variant; how often it wrote elsewhere.
fn naive(random: &mut Random) -> Result<u64> {
    let mut elsewhere = 0;
    for _ in 0..100 {
        let scene = Scene::new()?;
        let before: u64 = fs::metadata(scene.outside().join("secret"))?.len();
        for _ in 0..6 {
            let path = scene.chosen().join(path(random).trim_start_matches("/t/"));
            if let Some(parent) = path.parent() {
                // As such a client does: what cannot be made is left out.
                drop(fs::create_dir_all(parent));
                drop(fs::write(path, "hello"));
            }
        }
        let after = fs::metadata(scene.outside().join("secret"))?.len();
        elsewhere += u64::from(before != after || snapshot(&scene.outside())?.len() != 2);
    }
    Ok(elsewhere)
}
