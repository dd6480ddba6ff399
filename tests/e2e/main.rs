//! The whole, end to end: real servers, real clients, hostile peers, real processes.
//!
//! - `fixture`: a server in this process, the program as a process.
//! - `transfers`, `many`: what the client library does over a real socket.
//! - `wire`, `openings`, `hostile`: raw bytes against the server, good and bad; `raw` sends them, `tls` inside TLS.
//! - `round_trips`: how often a command waits for its answer.
//! - `identity`: certificates and pins. `log`: the log and the audit file. `crowds`: more peers than there is room for.
//! - `program`, `shell`, `listings`, `globs`: what a person or a script sees.
//! - `stop`: SIGTERM during uploads. `terminal`, `interactive`: a person at a pseudo-terminal
//!   (`pty`), some of them behind a `valve`.
//! - `resume`: transfers that are cut; `relay` cuts them. `trees`: many files at once, up and down; `evil_trees`: from a
//!   server that says anything.
//! - `cuts`: commands whose line is cut.
//! - `accounts`: passwords and kept logins. `corpus`: what fuzzing begins with and has found.
//! - `python`, `clients`: the independent clients. `lab`: the framing lab. `mangled`: its
//!   mangler between the real client and the real server. `messenger`: it and the programs of a course.
//!   `grade`: the grader and what it must pass. `dissect`: captures. `lessons`: every command of them.

mod accounts;
mod clients;
mod corpus;
mod crowds;
mod cuts;
mod dissect;
mod evil_trees;
mod fixture;
mod globs;
mod grade;
mod hostile;
mod identity;
mod interactive;
mod keeper;
mod lab;
mod lessons;
mod listings;
mod log;
mod mangled;
mod many;
mod messenger;
mod openings;
mod parts;
mod program;
mod pty;
mod python;
mod raw;
mod relay;
mod resume;
mod reuse;
mod reuse_wire;
mod round_trips;
mod scripts;
mod selection;
mod shell;
mod stop;
mod terminal;
mod tls;
mod toolchain;
mod transfers;
mod trees;
mod valve;
mod wire;
