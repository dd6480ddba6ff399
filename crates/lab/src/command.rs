//! The lesson of the remote command: an answer longer than one `recv`, its rest read as the answer to the next command,
//! and the cure.
//!
//! Server and client are one process and one connection over loopback; the listener is gone before the first command.
//! Only the commands of a fixed list run, and they touch nothing.

use std::io::{self, Read as _, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::limits::{COMMAND_OUTPUT_LEN_MAX, LESSON_MESSAGE_LEN_MAX};
use crate::wire::{loopback_pair, wait_for};
use crate::{LabError, Paint};

/// What may be run, and nothing else: a client sends a number of this list.
const COMMANDS: [&[&str]; 4] = [&["seq", "1", "2000"], &["echo", "hello"], &["ls", "/no such directory"], &["true"]];

/// What the client of the course asks for with each `recv`.
const ROOM_LEN: usize = 1024;

/// How much of a line is shown in characters: the table fits a terminal of 80 columns.
const FIRST_LINE_LEN_MAX: usize = 17;

/// What comes before the output in the cured version.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    /// The exit code, if there is one.
    status: Option<i32>,
    /// How many bytes of standard output follow.
    stdout: usize,
    /// How many bytes of standard error follow those.
    stderr: usize,
}

/// What a command said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    status: Option<i32>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Shows the broken version and then the cured one.
///
/// # Errors
/// When a socket or a command fails, or the fault does not show.
pub fn run(paint: Paint, out: &mut dyn Write) -> Result<(), LabError> {
    writeln!(out, "{}", paint.heading("broken: the server writes the output, the client calls recv(1024) once"))?;
    let answers = broken()?;
    for (answer, argv) in answers.iter().zip(COMMANDS) {
        let is_right = answer.got == answer.due;
        let (verdict, shown) =
            (paint.verdict(is_right, if is_right { "right" } else { "WRONG" }), first_line(&answer.got));
        writeln!(
            out,
            "  $ {:<21} wrote {:>4}, got {:>4}  {verdict}  {shown}",
            argv.join(" "),
            answer.due.len(),
            answer.got.len()
        )?;
    }
    writeln!(out, "  Each answer is the rest of the first one. Standard error was never sent; and a")?;
    writeln!(out, "  command that says nothing would leave a client without leftovers waiting")?;
    writeln!(out, "  for ever.")?;
    if answers.iter().all(|answer| answer.got == answer.due) {
        return Err(LabError::NotShown("every answer was right".to_owned()));
    }
    writeln!(
        out,
        "\n{}",
        paint.heading("fixed: a length, a JSON header with the status and two sizes, then so many bytes")
    )?;
    for (said, argv) in fixed()?.iter().zip(COMMANDS) {
        let is_right = *said == execute(argv)?;
        let verdict = paint.verdict(is_right, if is_right { "right" } else { "WRONG" });
        let status = said.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        writeln!(
            out,
            "  $ {:<21} status {status}, out {:>4}, err {:>2}  {verdict}  {}",
            argv.join(" "),
            said.stdout.len(),
            said.stderr.len(),
            first_line(if said.stdout.is_empty() { &said.stderr } else { &said.stdout }),
        )?;
        if !is_right {
            return Err(LabError::Failed(format!("{} came back wrong", argv.join(" "))));
        }
    }
    Ok(())
}

/// The first line of an answer, for a table.
fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.lines().next() {
        None => "(nothing)".to_owned(),
        Some(line) => format!("{:?}", line.chars().take(FIRST_LINE_LEN_MAX).collect::<String>()),
    }
}

/// Runs a command of the list. Both of its outputs are read at once, so that neither pipe fills up.
fn execute(argv: &[&str]) -> io::Result<Said> {
    // The same words in every language's shell.
    let output = Command::new(argv[0]).args(&argv[1..]).env("LC_ALL", "C").stdin(Stdio::null()).output()?;
    if output.stdout.len() + output.stderr.len() > COMMAND_OUTPUT_LEN_MAX {
        return Err(io::Error::other("the command says too much"));
    }
    Ok(Said { status: output.status.code(), stdout: output.stdout, stderr: output.stderr })
}

/// An answer of the broken version.
struct Answer {
    due: Vec<u8>,
    got: Vec<u8>,
}

/// One side after the other, so that the same happens every time; a network would make it happen now and then.
fn broken() -> Result<Vec<Answer>, LabError> {
    let (mut server, mut client) = loopback_pair()?;
    let (mut answers, mut underway) = (Vec::new(), 0);
    for argv in COMMANDS {
        let due = execute(argv)?.stdout;
        server.write_all(&due)?;
        underway += due.len();
        wait_for(&client, underway)?;
        let mut room = [0; ROOM_LEN];
        // WRONG: once, and for at most 1,024 bytes; who says that the answer ends there?
        let count = client.read(&mut room)?;
        underway -= count;
        answers.push(Answer { due, got: room[..count].to_vec() });
    }
    Ok(answers)
}

/// Server and client in two threads, as fast as they can.
fn fixed() -> Result<Vec<Said>, LabError> {
    let (server, mut client) = loopback_pair()?;
    std::thread::scope(|scope| {
        let serving = scope.spawn(move || serve(server));
        // All at once: framed answers cannot be confused.
        let numbers: Vec<u8> = (0..u8::try_from(COMMANDS.len()).unwrap_or_default()).collect();
        client.write_all(&numbers)?;
        client.shutdown(std::net::Shutdown::Write)?;
        let answers: Vec<Said> = COMMANDS.iter().map(|_| recv_answer(&mut client)).collect::<io::Result<_>>()?;
        serving.join().map_err(|_| io::Error::other("the server panicked"))??;
        Ok(answers)
    })
}

/// Answers one byte, the number of a command, after the other.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut number = [0];
    while stream.read(&mut number)? > 0 {
        let Some(argv) = COMMANDS.get(usize::from(number[0])) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no such command"));
        };
        let said = execute(argv)?;
        let header = Header { status: said.status, stdout: said.stdout.len(), stderr: said.stderr.len() };
        let header = serde_json::to_vec(&header)?;
        let len = u32::try_from(header.len()).map_err(io::Error::other)?;
        stream.write_all(&[&len.to_be_bytes(), &header[..], &said.stdout, &said.stderr].concat())?;
    }
    Ok(())
}

fn recv_answer(stream: &mut TcpStream) -> io::Result<Said> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, "more is announced than may be");
    let mut len = [0; 4];
    // `read_exact` is the loop that `recv` needs.
    stream.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    if len > LESSON_MESSAGE_LEN_MAX {
        return Err(too_long());
    }
    let mut header = vec![0; len];
    stream.read_exact(&mut header)?;
    let Header { status, stdout, stderr } = serde_json::from_slice(&header)?;
    if stdout.max(stderr) > COMMAND_OUTPUT_LEN_MAX {
        return Err(too_long());
    }
    let (mut said_out, mut said_err) = (vec![0; stdout], vec![0; stderr]);
    stream.read_exact(&mut said_out)?;
    stream.read_exact(&mut said_err)?;
    Ok(Said { status, stdout: said_out, stderr: said_err })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_an_answer_is_read_as_the_next_one() {
        let answers = broken().expect("played");
        let all = &answers[0].due;
        assert_eq!(all.len(), 8_893);
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer.got, all[number * ROOM_LEN..(number + 1) * ROOM_LEN]);
        }
    }

    #[test]
    fn framed_answers_are_whole_with_status_and_both_outputs() {
        let answers = fixed().expect("played");
        assert_eq!(answers[1], Said { status: Some(0), stdout: b"hello\n".to_vec(), stderr: Vec::new() });
        assert!(answers[2].status != Some(0) && answers[2].stdout.is_empty() && !answers[2].stderr.is_empty());
        assert_eq!(answers[3], Said { status: Some(0), stdout: Vec::new(), stderr: Vec::new() });
    }
}
