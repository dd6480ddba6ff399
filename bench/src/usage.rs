//! What processes cost: CPU time and memory, of a client that was waited for and of a server that lives on.
//!
//! A server's figures are those of its process and of all that come from it, read from `/proc`.

use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use nix::sys::resource::{UsageWho, getrusage};

/// Between two looks at a server's memory: its sessions may be processes that end with the transfer. The kernel keeps the
/// peak of each process, so only one that lives shorter is missed.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// CPU time of all children of the bench that were waited for, and of theirs.
pub(crate) fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let time = |value: nix::sys::time::TimeVal| {
        Ok::<_, anyhow::Error>(Duration::new(value.tv_sec().try_into()?, u32::try_from(value.tv_usec())? * 1000))
    };
    Ok(time(usage.user_time())? + time(usage.system_time())?)
}

/// CPU time of the tree of processes under `root`, the ended ones among them too.
pub(crate) fn cpu_of_tree(root: u32) -> Result<Duration> {
    let mut ticks = 0;
    for pid in tree(root) {
        // One that ended since then counts with its parent, or at the next reading.
        if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
            ticks += ticks_of(&stat).with_context(|| format!("/proc/{pid}/stat says {stat:?}"))?;
        }
    }
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// utime, stime, cutime, cstime: proc_pid_stat(5), fields 14 to 17. The name in field 2 may hold anything.
fn ticks_of(stat: &str) -> Option<u64> {
    let fields = stat.rsplit_once(')')?.1;
    let times: Vec<u64> = fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    (times.len() == 4).then(|| times.iter().sum())
}

/// The memory, in bytes, of the tree of processes under `root`, each shared page counted once among those that share it.
pub(crate) fn shared_memory_of_tree(root: u32) -> Result<u64> {
    let mut kib = 0;
    for pid in tree(root) {
        let file = format!("/proc/{pid}/smaps_rollup");
        // One that ended since then has none.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        kib += kib_of(&text, "Pss:").with_context(|| format!("{file} names no Pss"))?;
    }
    Ok(kib * 1024)
}

/// How many processes there are under `root`, itself among them.
pub(crate) fn tree_len(root: u32) -> usize {
    tree(root).len()
}

/// Watches the memory of a tree of processes until it is asked for the peak.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<u64>,
}

impl MemoryWatch {
    /// Forgets earlier peaks and watches.
    pub(crate) fn start(root: u32) -> Self {
        for pid in tree(root) {
            // One that ended needs it no more; one of another user keeps an older, higher peak.
            drop(fs::write(format!("/proc/{pid}/clear_refs"), "5"));
        }
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut peak = 0;
            loop {
                peak = peak.max(tree(root).into_iter().filter_map(|pid| status_kib(pid, "VmHWM:")).sum());
                if stopped.recv_timeout(SAMPLE_INTERVAL) != Err(RecvTimeoutError::Timeout) {
                    return peak * 1024;
                }
            }
        });
        Self { stop, thread }
    }

    /// The most memory, in bytes, that the processes held: the sum of their peaks, shared pages counted in each.
    pub(crate) fn finish(self) -> Result<u64> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow!("the watch over memory has panicked"))
    }
}

fn status_kib(pid: u32, key: &str) -> Option<u64> {
    kib_of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, key)
}

/// The number behind `key` in a file of lines such as `VmHWM:  1234 kB`.
fn kib_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// `root` and all processes under it, as far as they live.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 5 0 0";
        assert_eq!(ticks_of(stat), Some(110));
        assert_eq!(ticks_of("7 (a) S 1"), None);
        assert_eq!(ticks_of(""), None);
    }

    #[test]
    fn this_process_costs_something() -> Result<()> {
        let watch = MemoryWatch::start(std::process::id());
        assert!(watch.finish()? > 100 * 1024);
        cpu_of_tree(std::process::id())?;
        Ok(())
    }
}
