//! The times as a drawing (SVG), for light and dark pages: a panel for each workload, a bar for each kind of server.
//!
//! Bars are to scale up to a few times netdisk's; a longer one is cut, and its number says how long it is.

use crate::peer::{LIMIT, NETDISK};
use crate::report::{Column, Score, Unit};

/// Of each kind of server the one that encrypts, where there is one.
const SHOWN: &[&str] =
    &[NETDISK, "rsync", "nginx-dav-tls", "dufs-tls", "vsftpd-tls", "pure-ftpd-tls", "sftp", "lftp-sftp", "rclone-sftp"];
/// Bars longer than so many times netdisk's are cut: one that is too long hides all others.
const CUT_AT: f64 = 5.0;

const PANELS_IN_ROW: usize = 2;
const PANEL_WIDTH: f64 = 430.0;
const TITLE_HEIGHT: f64 = 44.0;
const ROW_HEIGHT: f64 = 20.0;
const BAR_LEFT: f64 = 100.0;
const BAR_WIDTH: f64 = 215.0;

const STYLE: &str = "
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 13px }
.name { text-anchor: end }
.ours { fill: #0969da } text.ours { font-weight: 600 }
.peer { fill: #8c959f }
.limit { stroke: #cf222e; stroke-dasharray: 3 3 }
.note { font-size: 11px; fill: #57606a }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .ours { fill: #58a6ff } text.ours { fill: #58a6ff }
  .peer { fill: #6e7681 } .limit { stroke: #ff7b72 } .note { fill: #8d96a0 }
}";

/// The drawing of all workloads that were timed in seconds.
pub(crate) fn svg(columns: &[Column], machine: &str) -> String {
    let timed: Vec<&Column> = columns.iter().filter(|column| column.unit == Unit::Seconds).collect();
    let rows = SHOWN.iter().filter(|name| timed.iter().any(|column| column.score(name).is_some())).count();
    let panel_height = TITLE_HEIGHT + ROW_HEIGHT * rows as f64;
    let width = PANEL_WIDTH * PANELS_IN_ROW as f64;
    let height = panel_height * timed.len().div_ceil(PANELS_IN_ROW) as f64 + 48.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-label=\"Times of netdisk and others\">\n<style>{STYLE}\n</style>\n"
    );
    for (number, column) in timed.iter().enumerate() {
        let (x, y) = ((number % PANELS_IN_ROW) as f64 * PANEL_WIDTH, (number / PANELS_IN_ROW) as f64 * panel_height);
        text.push_str(&format!("<g transform=\"translate({x} {y})\">\n{}</g>\n", panel(column)));
    }
    let y = height - 26.0;
    text.push_str(&format!(
        "<text class=\"note\" x=\"12\" y=\"{y}\">Seconds, shorter is better; dashed: one bare TCP stream. \
         Only netdisk encrypts, verifies and syncs.</text>\n<text class=\"note\" x=\"12\" y=\"{}\">{}</text>\n</svg>\n",
        y + 16.0,
        escaped(machine)
    ));
    text
}

fn panel(column: &Column) -> String {
    let shown: Vec<_> = SHOWN.iter().filter_map(|name| Some((*name, column.score(name)?))).collect();
    let values = shown.iter().filter_map(|(name, _)| column.figure(name)).map(|figure| figure.value);
    let longest = values.fold(0.0, f64::max);
    let most = column.figure(NETDISK).map_or(longest, |ours| longest.min(ours.value * CUT_AT));
    let length = |value: f64| (value / most).min(1.0) * BAR_WIDTH;
    let title = escaped(&format!("{}: {}", column.id, column.title));
    let mut text = format!("<text class=\"title\" x=\"12\" y=\"26\">{title}</text>\n");
    for (row, (name, score)) in shown.iter().enumerate() {
        let (class, y) = (if *name == NETDISK { "ours" } else { "peer" }, TITLE_HEIGHT + ROW_HEIGHT * row as f64);
        let (bar, label) = match score {
            Score::Measured(figure) if figure.value > most => (BAR_WIDTH, format!("» {:.2}", figure.value)),
            Score::Measured(figure) => (length(figure.value), format!("{:.2}", figure.value)),
            Score::TooSlow { .. } => (BAR_WIDTH, score.to_string()),
            Score::Failed(_) => (0.0, "failed".to_owned()),
        };
        let name_class = if *name == NETDISK { "name ours" } else { "name" };
        let (base, after) = (y + 13.0, BAR_LEFT + bar + 6.0);
        text.push_str(&format!(
            "<text class=\"{name_class}\" x=\"{:.0}\" y=\"{base}\">{name}</text><rect class=\"{class}\" x=\"{BAR_LEFT}\" \
             y=\"{:.0}\" width=\"{bar:.1}\" height=\"14\" rx=\"2\"/><text x=\"{after:.1}\" y=\"{base}\">{}</text>\n",
            BAR_LEFT - 6.0,
            y + 2.0,
            escaped(&label)
        ));
    }
    if let Some(limit) = column.figure(LIMIT) {
        let (x, bottom) = (BAR_LEFT + length(limit.value), TITLE_HEIGHT + ROW_HEIGHT * shown.len() as f64);
        text.push_str(&format!(
            "<line class=\"limit\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\"/>\n",
            TITLE_HEIGHT - 4.0
        ));
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Figure;

    #[test]
    fn bars_are_to_scale_and_cut_where_they_are_too_long() {
        let figure = |value| Score::Measured(Figure { value, ratio: None, tail: None, cpu: None, memory: None });
        let slow = Score::TooSlow { seconds: 30.0, files: 60, bytes: 1 };
        let scores = vec![(LIMIT, figure(0.5)), (NETDISK, figure(1.0)), ("rsync", figure(2.5)), ("sftp", slow)];
        let scores = scores.into_iter().chain([("dufs-tls", figure(100.0))]).collect();
        let column =
            Column { id: "W1".to_owned(), title: "<work>".to_owned(), unit: Unit::Seconds, cost: None, scores };
        let text = svg(&[column], "a & b");
        for part in
            ["width=\"43.0\"", "width=\"107.5\"", "» 100.00", ">&gt; 30: 2 files/s", "&lt;work&gt;", "a &amp; b"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("vsftpd"), "who was not measured has no bar: {text}");
    }
}
