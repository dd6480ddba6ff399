//! OpenSSH's `sftp` as a process that is told what to do through its standard input.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::Session;

/// What it says to `pwd`, which costs the server nothing: the end of a listing.
const END: &str = "Remote working directory";
/// No line is nearly as long.
const LINE_LEN_MAX: u64 = 64 * 1024;

/// A client that waits for its next line.
pub(crate) struct SftpSession {
    client: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    root: String,
}

impl SftpSession {
    /// Starts `command`, which must log in by itself and read its standard input.
    pub(crate) fn open(mut command: Command, root: &str) -> Result<Box<dyn Session>> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut client = command.spawn().context("sftp")?;
        let input = client.stdin.take().context("piped")?;
        let output = BufReader::new(client.stdout.take().context("piped")?);
        let mut session = Self { client, input, output, root: root.to_owned() };
        session.tell("pwd\n")?;
        Ok(Box::new(session))
    }

    /// Writes `lines`, whose last must be `pwd`, and reads what comes of them.
    fn tell(&mut self, lines: &str) -> Result<String> {
        self.input.write_all(lines.as_bytes())?;
        self.input.flush()?;
        let mut said = String::new();
        loop {
            let before = said.len();
            let length = self.output.by_ref().take(LINE_LEN_MAX).read_line(&mut said)?;
            ensure!(length > 0, "sftp has ended");
            if said[before..].contains(END) {
                return Ok(said);
            }
        }
    }
}

impl Session for SftpSession {
    fn list(&mut self, folder: &str) -> Result<String> {
        self.tell(&format!("ls -l {}/{folder}\npwd\n", self.root))
    }
}

impl Drop for SftpSession {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.client.kill());
        drop(self.client.wait());
    }
}
