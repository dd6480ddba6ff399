//! Grades somebody's own implementation against PROTOCOL.md: 54 cases for a server and 20 for a client, from the first frame to hostile peers.
//!
//! Each case has one thing to show and a sentence that teaches it. A case makes its own connections and its own account,
//! so that no failure hides another.

mod client;
mod level1;
mod level2;
mod level3;
mod level4;
mod level5;
mod level6;
mod peer;
mod report;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;

pub use client::{ClientOptions, grade_client};
pub use report::Format;

use crate::limits::CASE_TIMEOUT;

/// What a case found: nothing to say, or what was seen instead.
type Check = Result<(), String>;

/// Why something that a case needs did not work out.
type Seen<T> = Result<T, String>;

/// One thing that an implementation must do.
struct Case {
    level: u8,
    name: &'static str,
    teaches: &'static str,
    run: for<'a> fn(&'a Target) -> Pin<Box<dyn Future<Output = Check> + Send + 'a>>,
}

/// Declares the cases of a level: name, function, and the sentence that teaches.
macro_rules! cases {
    ($level:literal: $($name:literal $function:ident $teaches:literal;)*) => {
        pub(super) const CASES: &[super::Case] = &[$(super::Case {
            level: $level,
            name: $name,
            teaches: $teaches,
            run: |target| Box::pin($function(target)),
        }),*];
    };
}
use cases;

/// What the levels are about.
const LEVELS: [&str; 6] = ["framing", "opening", "requests", "bodies", "limits", "pace"];

/// The server that is graded.
#[derive(Debug)]
pub struct Target {
    address: String,
    /// Makes the names of this run's accounts different from those of other runs on the same server.
    run: String,
    users: AtomicU32,
    /// How long a reply may take.
    patience: Duration,
}

impl Target {
    /// The server at `address`, without TLS. A reply that takes longer than `patience` counts as none.
    pub fn new(address: impl Into<String>, patience: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = format!("g{:x}", now.as_micros());
        Self { address: address.into(), run, users: AtomicU32::new(0), patience }
    }

    /// A name that no account has yet.
    fn new_user(&self) -> String {
        format!("{}-{}", self.run, self.users.fetch_add(1, Ordering::Relaxed))
    }
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Graded {
    /// The level, from 1.
    pub level: u8,
    /// What the level is about.
    pub about: &'static str,
    /// The name of the case.
    pub name: &'static str,
    /// What it teaches.
    pub teaches: &'static str,
    /// What was seen instead of what should be; `None`: passed.
    pub problem: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// What came of all cases.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// The cases in order.
    pub cases: Vec<Graded>,
}

impl Report {
    /// The names of the cases that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        self.cases.iter().filter(|case| case.problem.is_some()).map(|case| case.name).collect()
    }
}

/// Grades a server up to a level; `only` picks one case by name.
pub async fn grade_server(target: &Target, level_max: u8, only: Option<&str>) -> Report {
    let levels = [level1::CASES, level2::CASES, level3::CASES, level4::CASES, level5::CASES, level6::CASES];
    let mut report = Report::default();
    for case in levels.into_iter().flatten() {
        if case.level <= level_max && only.is_none_or(|only| only == case.name) {
            let began = Instant::now();
            let checked = timeout(CASE_TIMEOUT, (case.run)(target)).await;
            let checked = checked.unwrap_or_else(|_| Err(format!("not done within {} s", CASE_TIMEOUT.as_secs())));
            report.cases.push(Graded {
                level: case.level,
                about: LEVELS[usize::from(case.level) - 1],
                name: case.name,
                teaches: case.teaches,
                problem: checked.err(),
                took: began.elapsed(),
            });
        }
    }
    report
}
