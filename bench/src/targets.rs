//! What netdisk has to reach, and whether it does.

use crate::peer::{NETDISK, Peer};
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
    /// The 99th percentile at most so much.
    TailMax(f64),
    /// At least so many times as fast as each of those.
    Ahead(f64, Whom),
}

/// Whom to be ahead of.
enum Whom {
    Peers,
    EncryptedPeers,
    One(&'static str),
}

const PLAINTEXT: &str = "netdisk-plaintext";
/// What is no server, but how fast files are synced one after the other.
pub(crate) const ONE_BY_ONE: &str = "one file after the other";

const fn target(column: &'static str, contender: &'static str, must: Must) -> Target {
    Target { column, contender, must }
}

const TARGETS: &[Target] = &[
    target("W1", NETDISK, Must::RatioMax(1.30)),
    target("W1", NETDISK, Must::Ahead(1.0, Whom::EncryptedPeers)),
    target("W1", PLAINTEXT, Must::RatioMax(1.00)),
    target("W1", PLAINTEXT, Must::Ahead(1.0, Whom::One("rsync"))),
    target("W2", NETDISK, Must::RatioMax(1.30)),
    target("W2", NETDISK, Must::Ahead(1.0, Whom::EncryptedPeers)),
    target("W2", PLAINTEXT, Must::RatioMax(1.00)),
    target("W2", PLAINTEXT, Must::Ahead(1.0, Whom::One("rsync"))),
    target("W3", NETDISK, Must::RatioMax(1.35)),
    target("W3", NETDISK, Must::Ahead(1.0, Whom::One("rsync"))),
    target("W3", NETDISK, Must::Ahead(1.5, Whom::EncryptedPeers)),
    target("W3", NETDISK, Must::Ahead(2.5, Whom::One(ONE_BY_ONE))),
    target("W4", NETDISK, Must::RatioMax(1.35)),
    target("W4", NETDISK, Must::Ahead(1.0, Whom::One("rsync"))),
    target("W4", NETDISK, Must::Ahead(1.5, Whom::EncryptedPeers)),
    target("W5 up", NETDISK, Must::ValueMax(1.0)),
    target("W5 up", NETDISK, Must::Ahead(1.4, Whom::One("rsync"))),
    target("W5 down", NETDISK, Must::ValueMax(1.0)),
    target("W5 down", NETDISK, Must::Ahead(1.4, Whom::One("rsync"))),
    target("W6 up", NETDISK, Must::ValueMax(1.2)),
    target("W6 up", NETDISK, Must::Ahead(2.0, Whom::Peers)),
    target("W6 down", NETDISK, Must::ValueMax(1.2)),
    target("W6 down", NETDISK, Must::Ahead(2.0, Whom::Peers)),
    target("W7", NETDISK, Must::Ahead(1.0, Whom::Peers)),
    target("W7 start", NETDISK, Must::ValueMax(5.0)),
    target("W8", NETDISK, Must::ValueMax(32.0)),
    target("W9", NETDISK, Must::ValueMax(2.0)),
    target("W9", NETDISK, Must::TailMax(5.0)),
];

/// Each target of the workloads that were run: what is asked, what was measured, met or missed.
pub(crate) fn table(peers: &[Box<dyn Peer>], columns: &[Column]) -> String {
    let mut text = String::new();
    row(&mut text, ["target", "must", "measured", ""].map(str::to_owned).into_iter());
    rule(&mut text, 4);
    for target in TARGETS {
        let Some(column) = columns.iter().find(|column| column.id == target.column) else { continue };
        let judged = match column.score(target.contender) {
            None => None,
            Some(Score::Measured(figure)) => target.must.judge(figure, column, peers),
            Some(other) => Some(("to work".to_owned(), other.to_string(), false)),
        };
        let Some((asked, measured, met)) = judged else { continue };
        let what = format!("{} {}, {}", column.id, column.title, target.contender);
        let verdict = if met { "met" } else { "**missed**" };
        row(&mut text, [what, asked, measured, verdict.to_owned()].into_iter());
    }
    text
}

impl Must {
    /// What is asked, what is there, and whether that will do; nothing where nobody is there to be held against.
    fn judge(&self, figure: &Figure, column: &Column, peers: &[Box<dyn Peer>]) -> Option<(String, String, bool)> {
        let unit = column.unit.name();
        Some(match self {
            Self::RatioMax(most) => {
                let ratio = figure.ratio?;
                (format!("at most {most:.2}x limit-tcp"), format!("{ratio:.2}x"), ratio <= *most)
            }
            Self::ValueMax(most) => {
                (format!("at most {most} {unit}"), format!("{:.2} {unit}", figure.value), figure.value <= *most)
            }
            Self::TailMax(most) => {
                let tail = figure.tail?;
                (format!("p99 at most {most} {unit}"), format!("{tail:.2} {unit}"), tail <= *most)
            }
            Self::Ahead(times, whom) => {
                let (name, best) = whom.best(column, peers)?;
                let ahead = times_as_fast(column.unit, figure.value, best);
                let asked = format!("at least {times:.1} times as fast as {}", whom.text());
                (asked, format!("{ahead:.2} times as fast as {name}"), ahead >= *times)
            }
        })
    }
}

/// How many times as fast `value` is as `other`.
fn times_as_fast(unit: Unit, value: f64, other: f64) -> f64 {
    if unit == Unit::MibPerSecond { value / other } else { other / value }
}

impl Whom {
    fn text(&self) -> &'static str {
        match self {
            Self::Peers => "every peer",
            Self::EncryptedPeers => "every peer that encrypts",
            Self::One(name) => name,
        }
    }

    /// The fastest of them.
    fn best<'a>(&self, column: &Column, peers: &'a [Box<dyn Peer>]) -> Option<(&'a str, f64)> {
        if let Self::One(name) = self {
            return column.figure(name).map(|figure| (*name, figure.value));
        }
        let others = peers.iter().filter(|peer| {
            let is_peer = !peer.name().starts_with(NETDISK) && !peer.name().starts_with("limit");
            is_peer && (matches!(self, Self::Peers) || peer.promises().encrypts)
        });
        let measured = others.filter_map(|peer| Some((peer.name(), column.figure(peer.name())?.value)));
        measured.reduce(|best, next| if times_as_fast(column.unit, next.1, best.1) > 1.0 { next } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, ratio: f64) -> Score {
        Score::Measured(Figure { value, ratio: Some(ratio), tail: None, cpu: None, memory: None })
    }

    fn column(id: &str, unit: Unit, scores: Vec<(&'static str, Score)>) -> Column {
        Column { id: id.to_owned(), title: "work".to_owned(), unit, cost: None, scores }
    }

    fn judged(column: Column) -> String {
        table(&crate::peer::all(), &[column])
    }

    #[test]
    fn met_at_the_limit_and_missed_beyond_it() {
        for (ratio, verdict) in [(1.30, "| met |"), (1.31, "| **missed** |")] {
            let text = judged(column("W1", Unit::Seconds, vec![(NETDISK, figure(1.0, ratio))]));
            assert_eq!(text.lines().filter(|line| line.ends_with(verdict)).count(), 1, "{text}");
        }
    }

    #[test]
    fn a_failure_is_a_miss_and_who_was_not_asked_has_no_row() {
        let text = judged(column("W8", Unit::Kib, vec![(NETDISK, Score::Failed("gone".to_owned()))]));
        assert!(text.contains("failed: gone | **missed** |"), "{text}");
        assert_eq!(judged(column("W3", Unit::Seconds, vec![("rsync", figure(1.0, 1.0))])).lines().count(), 2);
    }

    #[test]
    fn to_be_ahead_is_to_be_ahead_of_the_best() {
        let scores =
            vec![(NETDISK, figure(100.0, 1.0)), ("dufs", figure(90.0, 1.0)), ("limit-tcp", figure(400.0, 1.0))];
        let text = judged(column("W7", Unit::MibPerSecond, scores.clone()));
        assert!(text.contains("1.11 times as fast as dufs | met |"), "{text}");
        let slower = scores.into_iter().chain([("sftp", figure(101.0, 1.0))]).collect();
        let text = judged(column("W7", Unit::MibPerSecond, slower));
        assert!(text.contains("0.99 times as fast as sftp | **missed** |"), "{text}");
    }

    #[test]
    fn of_seconds_fewer_are_better_and_only_those_who_encrypt_count_among_them() {
        let scores = vec![(NETDISK, figure(1.0, 1.0)), ("rsync", figure(0.5, 1.0)), ("sftp", figure(3.0, 1.0))];
        let text = judged(column("W1", Unit::Seconds, scores));
        assert!(text.contains("every peer that encrypts | 3.00 times as fast as sftp | met |"), "{text}");
    }
}
