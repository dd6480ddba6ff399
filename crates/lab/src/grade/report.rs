//! What came of a grading: as text for people, as JSON for scripts, as JUnit for CI.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;

use super::{Graded, Report};
use crate::Paint;
use crate::paint::harmless;

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    Text(Paint),
    /// One JSON object.
    Json,
    /// JUnit's XML, as CI servers read it.
    JUnit,
}

impl Report {
    /// Prints it.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn print(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Text(paint) => self.text(paint, out),
            Format::Json => self.json(out),
            Format::JUnit => self.junit(out),
        }
    }

    fn text(&self, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
        for cases in self.cases.chunk_by(|a, b| a.level == b.level) {
            writeln!(out, "{}", paint.heading(&format!("level {}: {}", cases[0].level, cases[0].about)))?;
            for case in cases {
                match &case.problem {
                    None => writeln!(out, "  {}    {}", paint.verdict(true, "ok"), case.name)?,
                    Some(problem) => {
                        writeln!(out, "  {}  {}", paint.verdict(false, "FAIL"), case.name)?;
                        writeln!(out, "        seen:  {}", harmless(problem))?;
                        writeln!(out, "        learn: {}", case.teaches)?;
                    }
                }
            }
        }
        writeln!(out, "{} of {} passed", self.cases.len() - self.failed().len(), self.cases.len())
    }

    fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let cases: Vec<_> = self.cases.iter().map(json_case).collect();
        let failed = self.failed().len();
        let report = json!({"passed": cases.len() - failed, "failed": failed, "cases": cases});
        writeln!(out, "{report}")
    }

    fn junit(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
        writeln!(out, r#"<testsuites tests="{}" failures="{}">"#, self.cases.len(), self.failed().len())?;
        for cases in self.cases.chunk_by(|a, b| a.level == b.level) {
            let failures = cases.iter().filter(|case| case.problem.is_some()).count();
            let took: Duration = cases.iter().map(|case| case.took).sum();
            let about = cases[0].about;
            writeln!(
                out,
                r#"  <testsuite name="{about}" tests="{}" failures="{failures}" time="{:.3}">"#,
                cases.len(),
                took.as_secs_f64()
            )?;
            for case in cases {
                write!(
                    out,
                    r#"    <testcase classname="netdisk.{about}" name="{}" time="{:.3}""#,
                    xml(case.name),
                    case.took.as_secs_f64()
                )?;
                match &case.problem {
                    None => writeln!(out, "/>")?,
                    Some(problem) => writeln!(
                        out,
                        "><failure message=\"{}\">{}</failure></testcase>",
                        xml(&harmless(problem)),
                        xml(case.teaches)
                    )?,
                }
            }
            writeln!(out, "  </testsuite>")?;
        }
        writeln!(out, "</testsuites>")
    }
}

fn json_case(case: &Graded) -> serde_json::Value {
    json!({
        "level": case.level, "about": case.about, "name": case.name, "passed": case.problem.is_none(),
        "seen": case.problem.as_deref().map(harmless), "teaches": case.teaches, "seconds": case.took.as_secs_f64(),
    })
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let case = |name, problem: Option<&str>| Graded {
            level: 1,
            about: "framing",
            name,
            teaches: "Read <all> of it.",
            problem: problem.map(str::to_owned),
            took: Duration::from_millis(1500),
        };
        Report { cases: vec![case("good", None), case("bad", Some("came \"x\" & \x1b[31m\u{202e}"))] }
    }

    fn printed(format: Format) -> String {
        let mut out = Vec::new();
        report().print(format, &mut out).expect("printed");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_report_reads_well_in_every_form() {
        let text = printed(Format::Text(Paint::Plain));
        assert!(text.contains("  ok    good\n  FAIL  bad\n") && text.ends_with("1 of 2 passed\n"), "{text}");
        assert!(text.contains("learn: Read <all> of it.") && !text.contains(['\x1b', '\u{202e}']), "{text}");
        let json: serde_json::Value = serde_json::from_str(&printed(Format::Json)).expect("JSON");
        assert_eq!((&json["passed"], &json["cases"][1]["passed"]), (&json!(1), &json!(false)));
        let junit = printed(Format::JUnit);
        assert!(junit.contains(r#"<testsuite name="framing" tests="2" failures="1" time="3.000">"#), "{junit}");
        assert!(
            junit.contains("came &quot;x&quot; &amp; \u{fffd}[31m\u{fffd}\">Read &lt;all&gt; of it.</failure>"),
            "{junit}"
        );
    }
}
