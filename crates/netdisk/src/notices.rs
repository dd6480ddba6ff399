//! Lines of jobs, printed where they tear nothing: above the prompt, or between two commands.

use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustyline::ExternalPrinter;

/// Lines that are held back while a command has the terminal: what somebody can still read afterwards.
const LINES_MAX: usize = 500;

/// Where jobs say what became of them.
#[derive(Debug)]
pub(crate) struct Notices {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    /// Lines that were too many.
    dropped: usize,
    terminal: Terminal,
}

/// Who has the terminal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Terminal {
    /// There is none.
    #[default]
    None,
    /// A command, or nobody.
    Command,
    /// The line editor.
    Prompt,
    /// The shell has ended.
    Closed,
}

impl Notices {
    /// Without a terminal: a line is to be printed as it comes.
    pub(crate) fn direct() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Condvar::new() })
    }

    /// With a line editor, above whose prompt they stand.
    pub(crate) fn above(printer: impl ExternalPrinter + Send + 'static) -> Arc<Self> {
        let notices = Self::direct();
        notices.lock().terminal = Terminal::Command;
        let printing = notices.clone();
        // Of its own, for the printer waits for the editor. It ends with the shell.
        std::thread::spawn(move || printing.print(printer));
        notices
    }

    /// Takes a line, which is safe for a terminal; gives it back where there is none and it is to be printed at once.
    #[must_use]
    pub(crate) fn say(&self, line: String) -> Option<String> {
        let mut state = self.lock();
        if state.terminal == Terminal::None {
            return Some(line);
        }
        if state.lines.len() < LINES_MAX {
            state.lines.push(line);
        } else {
            state.dropped += 1;
        }
        self.changed.notify_all();
        None
    }

    /// The prompt is about to come: what was held back stands before it.
    pub(crate) fn prompt_comes(&self) {
        let mut state = self.lock();
        state.print();
        state.terminal = Terminal::Prompt;
    }

    /// The prompt has gone.
    pub(crate) fn prompt_went(&self) {
        self.lock().terminal = Terminal::Command;
    }

    /// The shell ends; prints what was held back.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if state.terminal != Terminal::None {
            state.print();
            state.terminal = Terminal::Closed;
        }
        self.changed.notify_all();
    }

    fn print(&self, mut printer: impl ExternalPrinter) {
        let mut state = self.lock();
        loop {
            match state.terminal {
                Terminal::Closed => return,
                Terminal::Prompt if !state.lines.is_empty() => {
                    let text = state.take();
                    drop(state);
                    // Without a terminal there is nobody to tell.
                    if printer.print(text).is_err() {
                        return;
                    }
                    state = self.lock();
                }
                _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn print(&mut self) {
        let text = self.take();
        // A terminal that has gone is noticed by the editor; the lines are of no use to anybody then.
        drop(io::stdout().write_all(text.as_bytes()));
    }

    fn take(&mut self) -> String {
        let mut text: String = self.lines.drain(..).map(|line| line + "\n").collect();
        if self.dropped > 0 {
            text.push_str(&format!("({} more lines)\n", self.dropped));
            self.dropped = 0;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Screen(mpsc::Sender<String>);

    impl ExternalPrinter for Screen {
        fn print(&mut self, text: String) -> rustyline::Result<()> {
            self.0.send(text).map_err(|_| rustyline::error::ReadlineError::Eof)
        }
    }

    #[test]
    fn lines_wait_for_the_prompt_and_are_counted_when_they_are_too_many() {
        let (send, screen) = mpsc::channel();
        let notices = Notices::above(Screen(send));
        notices.prompt_comes();
        assert_eq!(notices.say("above the prompt".to_owned()), None);
        assert_eq!(screen.recv().expect("printed"), "above the prompt\n");
        notices.prompt_went();
        for line in 0..LINES_MAX + 2 {
            assert_eq!(notices.say(line.to_string()), None);
        }
        let text = notices.lock().take();
        assert!(text.ends_with("\n499\n(2 more lines)\n"), "{text}");
        assert!(screen.try_recv().is_err(), "nothing tears a command");
        notices.close();
        assert!(screen.recv().is_err(), "the thread has ended");
    }
}
