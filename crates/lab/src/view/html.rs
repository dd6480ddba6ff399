//! A recording as one HTML page that needs nothing else: no server, no network, no library.

use serde_json::{Value, json};

use super::{Cell, Direction, Event, Recording};
use crate::paint::harmless;

const TEMPLATE: &str = include_str!("page.html");

/// Most steps that a page holds: beyond them it is too long to be looked at, and to be loaded.
const STEPS_MAX: usize = 2_000;
/// Longest line about a step in characters, for the same reason.
const LAST_LEN_MAX: usize = 1_000;

/// The page. Of a long recording it shows the beginning, and says so.
pub fn page(recording: &Recording, title: &str) -> String {
    let is_cut = |direction| recording.step_count(direction) > STEPS_MAX;
    let data = json!({
        "title": harmless(title), "cut": is_cut(Direction::Received) || is_cut(Direction::Sent),
        "received": side(recording, Direction::Received), "sent": side(recording, Direction::Sent),
    });
    // Inside a script, `</` would end it and `<!--` would change how it is read, whatever stands around them.
    TEMPLATE.replace("/*RECORDING*/null", &data.to_string().replace('<', "\\u003c"))
}

/// One direction: the whole rows once, and of each step how much of them there is.
fn side(recording: &Recording, direction: Direction) -> Value {
    let cells = |cell: fn(&Event) -> Option<Cell>| -> Vec<Value> {
        let cells = recording.of(direction).take(STEPS_MAX).filter_map(cell);
        cells.map(|cell| json!([cell.len, cell.label])).collect()
    };
    let steps = recording.steps(direction).take(STEPS_MAX + 1).map(|step| {
        let last: String = step.last_in_words().chars().take(LAST_LEN_MAX).collect();
        json!([step.written, step.reads, step.frames, step.held, step.state(), last])
    });
    json!({
        "written": cells(Event::written_cell), "reads": cells(Event::read_cell), "frames": cells(Event::frame_cell),
        "steps": steps.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Event, Kind, live};

    #[test]
    fn a_page_needs_nothing_else_and_nothing_in_it_breaks_out() {
        let mut recording = live(1).expect("a run");
        recording.events.push(Event::Frame {
            us: 1,
            way: Direction::Received,
            kind: Kind::Message,
            len: 9,
            text: "</script><script>alert(1)</script><!--<script>".to_owned(),
        });
        let page = page(&recording, "</script>");
        assert_eq!(page.matches("</script>").count(), 1, "the one that ends the page's own");
        assert!(!page.contains("/*RECORDING*/") && !page.contains("://") && !page.contains("src="));
        assert!(page.contains("\"2056 B\"") && !page.contains("<!--<script"));
    }

    #[test]
    fn a_page_of_a_long_recording_stays_short() {
        let text = format!("{{\"type\":\"{}\"}}", "x".repeat(20_000));
        let way = Direction::Received;
        let frame = Event::Frame { us: 1, way, kind: Kind::Message, len: 20_011, text };
        let page = page(&Recording { events: vec![frame; STEPS_MAX + 1] }, "long");
        assert!(page.contains("\"cut\":true") && page.len() < 4 << 20, "{}", page.len());
    }
}
