//! A recording as one HTML page that needs nothing else: no server, no network, no library.

use serde_json::json;

use super::{Direction, Recording, Scene};

const TEMPLATE: &str = include_str!("page.html");

/// Most steps that a page holds: beyond them it is too long to be looked at, and to be loaded.
const STEPS_MAX: usize = 2_000;

/// The page. Of a long recording it shows the beginning, and says so.
pub fn page(recording: &Recording, title: &str) -> String {
    let scenes = |direction| -> (Vec<Scene>, bool) {
        let count = recording.step_count(direction);
        let shown = count.min(STEPS_MAX);
        ((0..=shown).map(|steps| recording.scene(direction, steps)).collect(), count > shown)
    };
    let (received, is_cut) = scenes(Direction::Received);
    let (sent, is_cut_too) = scenes(Direction::Sent);
    // Only the last scene has whole rows; the others are its beginnings, and the page needs no more than their lengths.
    let of = |scenes: &[Scene]| {
        let steps: Vec<_> = scenes
            .iter()
            .map(|scene| {
                json!([scene.written.len(), scene.reads.len(), scene.frames.len(), scene.held, scene.state, scene.last])
            })
            .collect();
        let end = scenes.last();
        json!({
            "written": end.map(|scene| &scene.written), "reads": end.map(|scene| &scene.reads),
            "frames": end.map(|scene| &scene.frames), "steps": steps,
        })
    };
    let data = json!({
        "title": title, "received": of(&received), "sent": of(&sent), "cut": is_cut || is_cut_too,
    });
    // Inside a script, `</` would end it and `<!--` would change how it is read, whatever stands around them.
    TEMPLATE.replace("/*RECORDING*/null", &data.to_string().replace('<', "\\u003c"))
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
}
