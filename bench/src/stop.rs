//! How the bench ends early: a signal is remembered, every wait ends with an error, and the stack unwinds, so that each
//! server, folder and network is taken down by who put it up.

use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::signal::unix::{SignalKind, signal};

/// The end of a pipe whose other end is closed by the first signal.
static STOPPED: OnceLock<OwnedFd> = OnceLock::new();

/// From now on, signals end waits instead of the process.
pub(crate) fn watch() -> Result<()> {
    let (stopped, running) = pipe_with(PipeFlags::CLOEXEC).context("a pipe")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hangup) = runtime.block_on(async {
        anyhow::Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?))
    })?;
    STOPPED.set(stopped).ok().context("signals are watched once")?;
    // The thread ends with the process.
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => (), _ = hangup.recv() => () }
        });
        drop(running);
    });
    Ok(())
}

/// Waits so long; an error when a signal came.
pub(crate) fn pause(time: Duration) -> Result<()> {
    wait_for(None, time).map(drop)
}

/// Waits for the end of `child`, which leads a process group; gives nothing when that took longer than `patience` and it
/// was killed.
pub(crate) fn wait(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let handle = pidfd_open(pid, PidfdFlags::empty()).context("a handle of the client")?;
    match wait_for(Some(&handle), patience) {
        Ok(true) => Ok(Some(child.wait()?)),
        outcome => {
            kill_process_group(pid, Signal::KILL).context("the client cannot be ended")?;
            child.wait()?;
            outcome.map(|_| None)
        }
    }
}

/// Whether `handle` became readable in time.
fn wait_for(handle: Option<&OwnedFd>, time: Duration) -> Result<bool> {
    let deadline = Instant::now() + time;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(2);
        polled.extend(STOPPED.get().map(|stopped| PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::empty())));
        let watched = polled.len();
        polled.extend(handle.map(|handle| PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)));
        match poll(&mut polled, Some(&Timespec::try_from(left)?)) {
            Err(rustix::io::Errno::INTR) => continue,
            ready => ready.context("poll")?,
        };
        if polled.get(watched).is_some_and(|handle| !handle.revents().is_empty()) {
            return Ok(true);
        }
        if polled.iter().any(|polled| !polled.revents().is_empty()) {
            bail!("interrupted");
        }
        if left.is_zero() {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_is_waited_for_or_ended() -> Result<()> {
        let mut quick = Command::new("true").process_group(0).spawn()?;
        assert_eq!(wait(&mut quick, Duration::from_secs(60))?.and_then(|status| status.code()), Some(0));
        let mut slow = Command::new("sleep").arg("600").process_group(0).spawn()?;
        assert_eq!(wait(&mut slow, Duration::from_millis(1))?, None);
        Ok(())
    }
}
