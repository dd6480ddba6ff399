//! What netdisk has to reach, and whether it does.

use crate::peer::NETDISK;
use crate::report::{Column, Figure, Score, Unit, row, rule};

/// One promise about speed.
struct Target {
    column: &'static str,
    contender: &'static str,
    must: Must,
}

/// What a figure must be.
enum Must {
    /// At most so many times `limit-tcp`.
    RatioMax(f64),
    /// At most so much, in the column's unit.
    ValueMax(f64),
}

const TARGETS: &[Target] = &[
    Target { column: "W1", contender: NETDISK, must: Must::RatioMax(1.30) },
    Target { column: "W2", contender: NETDISK, must: Must::RatioMax(1.30) },
    Target { column: "W1", contender: "netdisk-plaintext", must: Must::RatioMax(1.00) },
    Target { column: "W2", contender: "netdisk-plaintext", must: Must::RatioMax(1.00) },
    Target { column: "W3", contender: NETDISK, must: Must::RatioMax(1.35) },
    Target { column: "W4", contender: NETDISK, must: Must::RatioMax(1.35) },
    Target { column: "W5 up", contender: NETDISK, must: Must::ValueMax(1.0) },
    Target { column: "W5 down", contender: NETDISK, must: Must::ValueMax(1.0) },
    Target { column: "W6 up", contender: NETDISK, must: Must::ValueMax(1.2) },
    Target { column: "W6 down", contender: NETDISK, must: Must::ValueMax(1.2) },
];

/// Each target of the workloads that were run: what is asked, what was measured, met or missed.
pub(crate) fn table(columns: &[Column]) -> String {
    let mut text = String::new();
    row(&mut text, ["target", "must", "measured", ""].map(str::to_owned).into_iter());
    rule(&mut text, 4);
    for target in TARGETS {
        let Some(column) = columns.iter().find(|column| column.id == target.column) else { continue };
        let (asked, measured, met) = match column.score(target.contender) {
            None => continue,
            Some(Score::Measured(figure)) => target.must.judge(figure, column.unit),
            Some(other) => (String::new(), other.to_string(), false),
        };
        let what = format!("{} {}, {}", column.id, column.title, target.contender);
        let verdict = if met { "met" } else { "**missed**" };
        row(&mut text, [what, asked, measured, verdict.to_owned()].into_iter());
    }
    text
}

impl Must {
    /// What is asked, what is there, and whether that will do.
    fn judge(&self, figure: &Figure, unit: Unit) -> (String, String, bool) {
        match self {
            Self::RatioMax(most) => {
                let ratio = figure.ratio.unwrap_or(f64::INFINITY);
                (format!("at most {most:.2}x limit-tcp"), format!("{ratio:.2}x"), ratio <= *most)
            }
            Self::ValueMax(most) => {
                let name = unit.name();
                (format!("at most {most} {name}"), format!("{:.2} {name}", figure.value), figure.value <= *most)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(id: &str, score: Score) -> Column {
        let scores = vec![(NETDISK, score)];
        Column { id: id.to_owned(), title: "work".to_owned(), unit: Unit::Seconds, cost: None, scores }
    }

    #[test]
    fn met_at_the_limit_and_missed_beyond_it() {
        let figure = |ratio| Figure { value: 1.0, ratio: Some(ratio), tail: None, cpu: None, memory: None };
        for (ratio, verdict) in [(1.30, "| met |"), (1.31, "| **missed** |")] {
            let text = table(&[column("W1", Score::Measured(figure(ratio)))]);
            assert_eq!(text.lines().filter(|line| line.ends_with(verdict)).count(), 1, "{text}");
        }
    }

    #[test]
    fn a_failure_is_a_miss_and_who_was_not_asked_has_no_row() {
        let text = table(&[column("W3", Score::Failed("gone".to_owned()))]);
        assert!(text.contains("failed: gone | **missed** |"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
