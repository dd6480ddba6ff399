//! A terminal of the tests: the program at a pseudo-terminal, and a screen that shows what a person would see.

use std::fmt::Debug;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fixture::Program;

/// How long something may take to appear: far more than it needs.
const DEADLINE: Duration = Duration::from_secs(90);
const ROWS: u16 = 40;

/// A terminal in which the program runs.
pub(crate) struct Screen {
    child: Child,
    pty: Arc<pty_process::blocking::Pty>,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: vt100::Parser,
    /// All that was ever written to it.
    written: Vec<u8>,
    closed: bool,
}

impl Screen {
    pub(crate) fn open(program: &Program, args: &[&str], columns: u16) -> Self {
        Self::open_with(program, args, columns, &[])
    }

    pub(crate) fn open_with(program: &Program, args: &[&str], columns: u16, environment: &[(&str, &str)]) -> Self {
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        pty.resize(pty_process::Size::new(ROWS, columns)).expect("resized");
        let given = program.command(args);
        let mut command = pty_process::blocking::Command::new(given.get_program());
        command = command.args(given.get_args()).current_dir(program.folder.path()).env("TERM", "xterm");
        command = given.get_envs().fold(command, |command, (name, value)| match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        });
        command = environment.iter().fold(command, |command, (name, value)| command.env(name, value));
        let child = command.env_remove("NO_COLOR").spawn(pts).expect("it starts");
        let pty = Arc::new(pty);
        let size = |size| NonZeroU16::new(size).expect("not zero");
        let parser = vt100::Parser::new(size(ROWS), size(columns), 0);
        let state = Mutex::new(State { parser, written: Vec::new(), closed: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let screen = Self { child, pty, shared };
        screen.watch();
        screen
    }

    /// Draws what comes until the program has gone.
    fn watch(&self) {
        let (pty, shared) = (self.pty.clone(), self.shared.clone());
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            loop {
                // The far end closes with an error, as Linux has it.
                let read = (&*pty).read(&mut some).unwrap_or(0);
                let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.parser.process(&some[..read]);
                state.written.extend_from_slice(&some[..read]);
                state.closed = read == 0;
                shared.changed.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
    }

    pub(crate) fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until `there` gives something of the rows that are seen.
    #[track_caller]
    pub(crate) fn wait<T: Debug>(&self, what: &str, there: impl Fn(&[String]) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.lock();
        loop {
            let rows = rows(&state);
            if let Some(found) = there(&rows) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !state.closed, "{what} did not appear; the screen is\n{}", rows.join("\n"));
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until some row holds the text.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) {
        self.wait(text, |rows| rows.iter().any(|row| row.contains(text)).then_some(()));
    }

    /// Waits until the last row that is not empty is this.
    #[track_caller]
    pub(crate) fn ends_with(&self, text: &str) {
        self.wait(text, |rows| {
            let last = rows.iter().rfind(|row| !row.is_empty());
            last.is_some_and(|row| row.ends_with(text)).then_some(())
        });
    }

    /// Runs a line at a clean screen; gives what stands below it when the prompt is back.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> Vec<String> {
        self.clear();
        self.press(line);
        self.press("\r");
        self.wait(line, |rows| {
            let seen: Vec<&String> = rows.iter().filter(|row| !row.is_empty()).collect();
            let is_back = seen.len() > 1 && seen.last().is_some_and(|row| row.ends_with('>'));
            is_back.then(|| seen[1..seen.len() - 1].iter().map(|row| (*row).clone()).collect())
        })
    }

    /// Ctrl-L, and waits until only the prompt is left.
    #[track_caller]
    pub(crate) fn clear(&self) {
        self.press("\x0c");
        self.wait("a clean screen", |rows| {
            (!rows[0].is_empty() && rows[1..].iter().all(String::is_empty)).then_some(())
        });
    }

    /// All that was ever written to it.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.lock().written).into_owned()
    }

    /// Waits until the program has gone. What is pressed before its prompt is there may be lost.
    #[track_caller]
    pub(crate) fn end(mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end; the screen is\n{}", rows(&self.lock()).join("\n"));
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Ended already where a test waited for it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn rows(state: &State) -> Vec<String> {
    let screen = state.parser.screen();
    let columns = screen.size().1.get();
    screen.rows(0, columns).map(|row| row.trim_end().to_owned()).collect()
}
