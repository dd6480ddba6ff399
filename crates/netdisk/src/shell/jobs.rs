//! Jobs: commands that run beside the prompt, each on a connection of its own, some at once and the others in a queue.
//!
//! ```text
//! Queued ──(a place is free)──> Running ──> Over: done, failed or cancelled
//!    └────────────(cancel)────────────────────^
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::command::Command;
use crate::escape::escape;
use crate::failure::Failure;
use crate::interrupt::CtrlC;
use crate::job::JobView;
use crate::notices::Notices;
use crate::output::Output;
use crate::progress::Bar;
use crate::remote::Remote;
use crate::run;

/// How many may wait for their turn, and how many that have ended are remembered.
const JOBS_MAX: usize = 500;
/// How often the bar of a job at the front is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);
/// How long leaving waits for jobs that were cancelled: some more than they have to stop properly.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The jobs of a shell.
pub(super) struct Jobs {
    runtime: Handle,
    tracker: TaskTracker,
    places: Arc<Semaphore>,
    notices: Arc<Notices>,
    jobs: Vec<Job>,
    last: u32,
}

struct Job {
    number: u32,
    line: String,
    cancel: CancellationToken,
    view: Arc<JobView>,
    state: watch::Receiver<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    Running,
    Done,
    /// With the exit code of its failure.
    Failed(u8),
    Cancelled,
}

impl State {
    fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Jobs {
    /// Of which `at_once` run, and the others wait for their turn.
    pub(super) fn new(runtime: Handle, notices: Arc<Notices>, at_once: u8) -> Self {
        let places = Arc::new(Semaphore::new(at_once.into()));
        Self { runtime, tracker: TaskTracker::new(), places, notices, jobs: Vec::new(), last: 0 }
    }

    /// How many have not ended.
    pub(super) fn running(&self) -> usize {
        self.jobs.iter().filter(|job| !job.state().is_over()).count()
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.jobs.iter().map(|job| job.number).collect()
    }

    /// Makes a job of a command.
    pub(super) fn start(
        &mut self,
        remote: &Remote,
        command: Command,
        line: &str,
        output: &Output,
    ) -> Result<(), Failure> {
        if self.running() >= JOBS_MAX {
            return Err(Failure::Refused(format!("{JOBS_MAX} jobs are waiting already; `wait` for them first")));
        }
        self.forget_old();
        self.last += 1;
        let number = self.last;
        let view = Arc::new(JobView::new(number, self.notices.clone()));
        let (send, state) = watch::channel(State::Queued);
        let cancel = CancellationToken::new();
        let work = Work {
            line: line.to_owned(),
            remote: remote.beside(),
            command,
            output: output.beside(view.clone()),
            cancel: cancel.clone(),
            state: send,
        };
        let text = format!("[{number}] {line}");
        output.note(&text, json!({"event": "job", "job": number, "line": line, "state": "queued"}));
        self.jobs.push(Job { number, line: line.to_owned(), cancel, view, state });
        self.tracker.spawn_on(work.run(self.runtime.clone(), self.places.clone()), &self.runtime);
        Ok(())
    }

    /// `jobs`: each once more after it has ended.
    pub(super) fn list(&mut self, output: &Output) {
        for job in &self.jobs {
            let state = job.state();
            let words = if state == State::Running { job.view.now().words() } else { String::new() };
            let text = format!("[{}] {:<9}  {}  {words}", job.number, state.word(), job.line);
            let event = json!({"event": "job", "job": job.number, "line": job.line, "state": state.word()});
            output.result(text.trim_end(), event);
        }
        self.jobs.retain(|job| !job.state().is_over());
    }

    /// `cancel`.
    pub(super) async fn cancel(&self, numbers: &[u32]) -> Result<(), Failure> {
        for number in numbers {
            let job = self.job(Some(*number))?;
            job.cancel.cancel();
            job.over().await;
        }
        Ok(())
    }

    /// `wait`: until one of them has ended, or all. Ctrl-C ends the waiting, and not the jobs.
    pub(super) async fn wait(&self, number: Option<u32>) -> Result<(), Failure> {
        let waited: Vec<&Job> = match number {
            Some(_) => vec![self.job(number)?],
            None => self.jobs.iter().collect(),
        };
        let waiting = async {
            let mut failed = None;
            for job in waited {
                let outcome = job.outcome().await;
                failed = failed.or(outcome.err());
            }
            failed.map_or(Ok(()), Err)
        };
        let mut pressed = CtrlC::listen()?;
        tokio::select! {
            outcome = waiting => outcome,
            () = pressed.next() => Err(Failure::Interrupted),
        }
    }

    /// `fg`: shows the bar until the job ends. Ctrl-C stops the job.
    pub(super) async fn to_the_front(&self, number: Option<u32>, output: &Output) -> Result<(), Failure> {
        let job = self.job(number)?;
        let mut draw = interval(DRAW_INTERVAL);
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut front = Front::new(output, job);
        let mut pressed = CtrlC::listen()?;
        let mut over = std::pin::pin!(job.outcome());
        loop {
            tokio::select! {
                outcome = &mut over => return outcome,
                () = pressed.next() => job.cancel.cancel(),
                _ = draw.tick() => front.draw(),
            }
        }
    }

    /// Stops all of them.
    pub(super) async fn stop(&self) {
        self.jobs.iter().for_each(|job| job.cancel.cancel());
        self.tracker.close();
        if tokio::time::timeout(LEAVE_TIMEOUT, self.tracker.wait()).await.is_err() {
            eprintln!("netdisk: {} jobs did not stop in time", self.tracker.len());
        }
    }

    fn job(&self, number: Option<u32>) -> Result<&Job, Failure> {
        match number {
            Some(number) => self
                .jobs
                .iter()
                .find(|job| job.number == number)
                .ok_or_else(|| Failure::NotFound(format!("there is no job {number}; `jobs` lists them"))),
            None => self
                .jobs
                .iter()
                .rfind(|job| !job.state().is_over())
                .ok_or_else(|| Failure::NotFound("no job is running".to_owned())),
        }
    }

    fn forget_old(&mut self) {
        while self.jobs.len() >= 2 * JOBS_MAX {
            match self.jobs.iter().position(|job| job.state().is_over()) {
                Some(at) => drop(self.jobs.remove(at)),
                None => return,
            }
        }
    }
}

impl Job {
    fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits until it has ended.
    async fn over(&self) -> State {
        // Its task sends the end before it goes, unless it panicked.
        self.state.clone().wait_for(|state| state.is_over()).await.map_or(State::Failed(1), |state| *state)
    }

    /// The same, as an outcome.
    async fn outcome(&self) -> Result<(), Failure> {
        match self.over().await {
            State::Failed(code) => Err(Failure::Job { number: self.number, code }),
            State::Cancelled => Err(Failure::Job { number: self.number, code: Failure::Interrupted.code() }),
            _ => Ok(()),
        }
    }
}

/// What a task needs.
struct Work {
    line: String,
    remote: Remote,
    command: Command,
    output: Output,
    cancel: CancellationToken,
    state: watch::Sender<State>,
}

impl Work {
    async fn run(self, runtime: Handle, places: Arc<Semaphore>) {
        let Self { line, remote, command, output, cancel, state } = self;
        let place = tokio::select! {
            place = places.acquire_owned() => place.ok(),
            () = cancel.cancelled() => None,
        };
        let outcome = match place {
            None => Err(Failure::Interrupted),
            Some(_place) => {
                state.send_replace(State::Running);
                let (output, cancel) = (output.clone(), cancel.clone());
                // On a thread of its own: what a command does need not be able to move between threads.
                let running = tokio::task::spawn_blocking(move || {
                    runtime.block_on(run::run_beside(remote, command, &output, &cancel))
                });
                running.await.unwrap_or_else(|panic| Err(Failure::unexpected(panic)))
            }
        };
        let over = match &outcome {
            Ok(()) => State::Done,
            Err(_) if cancel.is_cancelled() => State::Cancelled,
            Err(failure) => State::Failed(failure.code()),
        };
        if let (State::Failed(_), Err(failure)) = (over, &outcome) {
            output.failure(failure);
        }
        output.note(&format!("{}: {line}", over.word()), json!({"event": "job", "line": line, "state": over.word()}));
        state.send_replace(over);
    }
}

/// A job whose bar is shown.
struct Front<'a> {
    output: &'a Output,
    job: &'a Job,
    /// With the name of the file that it is of.
    bar: Option<(String, Bar)>,
}

impl<'a> Front<'a> {
    fn new(output: &'a Output, job: &'a Job) -> Self {
        output.note(&escape(&job.line), json!({"event": "job", "job": job.number, "line": job.line}));
        Self { output, job, bar: None }
    }

    fn draw(&mut self) {
        use netdisk_client::Observer as _;

        let now = self.job.view.now();
        let Some(progress) = now.progress else { return };
        if self.bar.as_ref().is_none_or(|(name, _)| *name != now.name) {
            let bar = Bar::new(self.output, &now.name);
            bar.progress(netdisk_client::Progress { position: 0, ..progress });
            self.bar = Some((now.name.clone(), bar));
        }
        if let Some((_, bar)) = &self.bar {
            bar.progress(progress);
        }
    }
}
