//! Questions to a person, answered by yes or no.

use std::future::Future;
use std::io::{self, IsTerminal as _};

use rustyline::error::ReadlineError;

use crate::failure::Failure;

tokio::task_local! {
    /// Set where a job runs: the person is busy with something else.
    static UNATTENDED: ();
}

/// Does `work` without asking anybody.
pub(crate) async fn unattended<T>(work: impl Future<Output = T>) -> T {
    UNATTENDED.scope((), work).await
}

/// Whether there is a person to ask.
pub(crate) fn can_be_asked() -> bool {
    UNATTENDED.try_with(|_| ()).is_err() && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks; anything but yes is no. The line editor reads the answer, so that Ctrl-C is seen at once.
pub(crate) fn ask(question: &str) -> Result<bool, Failure> {
    let mut editor = rustyline::DefaultEditor::new().map_err(Failure::unexpected)?;
    match editor.readline(&format!("{question} [y/N] ")) {
        Ok(answer) => Ok(matches!(answer.trim(), "y" | "Y" | "yes")),
        Err(ReadlineError::Interrupted) => Err(Failure::Interrupted),
        Err(ReadlineError::Eof) => Ok(false),
        Err(error) => Err(Failure::unexpected(error)),
    }
}
