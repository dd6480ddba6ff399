//! What was written, what arrived by read, what the decoder cut: three rows, stepped through forwards and back.
//!
//! ```text
//!   written  [ 260 ][ 2060                        ][ 132 ]
//!   read     [ 66 ][ 120 ][ 191 ][ 36 ][ 762        ][ ...
//!   frames   [ A 256 ]      [ B 2056 ...
//!   decoder  holds 117 bytes: payload, 113 of 2056
//! ```

mod html;
mod live;
mod recording;
mod terminal;

pub use html::page;
pub use live::live;
pub use recording::{Direction, Event, Kind, Recording};
pub use terminal::{Key, Viewer, run};

use serde::Serialize;

/// Length of a header in bytes.
const HEADER_LEN: usize = 4;

/// What is to be seen after a number of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scene {
    /// Bytes of each write so far.
    pub written: Vec<usize>,
    /// Bytes of each read so far.
    pub reads: Vec<usize>,
    /// Each frame so far: its payload's length and what it is.
    pub frames: Vec<(usize, String)>,
    /// Bytes that have arrived and belong to no frame yet.
    pub held: usize,
    /// What the decoder waits for.
    pub state: String,
    /// What happened last.
    pub last: String,
}

impl Recording {
    /// The events of one direction, in order.
    fn of(&self, direction: Direction) -> Vec<&Event> {
        self.events.iter().filter(|event| event.direction() == direction).collect()
    }

    /// How many steps there are in a direction.
    pub fn step_count(&self, direction: Direction) -> usize {
        self.of(direction).len()
    }

    /// What is to be seen after the first `steps` events of a direction.
    pub fn scene(&self, direction: Direction, steps: usize) -> Scene {
        let events = self.of(direction);
        let (seen, to_come) = events.split_at(steps.min(events.len()));
        let mut scene = Scene {
            written: Vec::new(),
            reads: Vec::new(),
            frames: Vec::new(),
            held: 0,
            state: String::new(),
            last: seen.last().map_or_else(|| "nothing has happened yet".to_owned(), |event| event.in_words()),
        };
        for event in seen {
            match event {
                Event::Written { len, .. } => scene.written.push(*len),
                Event::Read { len, .. } => {
                    scene.reads.push(*len);
                    scene.held += len;
                }
                Event::Frame { len, kind, text, .. } => {
                    scene.frames.push((*len, kind.label(text)));
                    scene.held = scene.held.saturating_sub(HEADER_LEN + len);
                }
            }
        }
        let next = to_come.iter().find_map(|event| match event {
            Event::Frame { len, .. } => Some(*len),
            _ => None,
        });
        scene.state = if direction == Direction::Sent { sender_state(next) } else { state(scene.held, next) };
        scene
    }
}

/// A sender has no decoder: what it has written is gone.
fn sender_state(next: Option<usize>) -> String {
    match next {
        Some(len) => format!("next frame: a payload of {len}"),
        None => "all was sent".to_owned(),
    }
}

/// What the decoder waits for, from what it holds and what will turn out to come.
fn state(held: usize, next: Option<usize>) -> String {
    match (held, next) {
        (0, None) => "at an end between two frames".to_owned(),
        (0, Some(_)) => "between two frames, waits for a header".to_owned(),
        (held @ 1..HEADER_LEN, _) => format!("header, {held} of {HEADER_LEN} bytes"),
        (held, Some(len)) if held - HEADER_LEN < len => format!("payload, {} of {len} bytes", held - HEADER_LEN),
        (_, Some(len)) => format!("a whole frame of {len} bytes is there, and is cut next"),
        (_, None) => "a frame whose end never came".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoder_is_in_every_state_in_turn() {
        assert_eq!(state(0, Some(5)), "between two frames, waits for a header");
        assert_eq!(state(3, Some(5)), "header, 3 of 4 bytes");
        assert_eq!(state(4, Some(5)), "payload, 0 of 5 bytes");
        assert_eq!(state(8, Some(5)), "payload, 4 of 5 bytes");
        assert_eq!(state(9, Some(5)), "a whole frame of 5 bytes is there, and is cut next");
        assert_eq!(state(0, None), "at an end between two frames");
        assert_eq!(state(7, None), "a frame whose end never came");
    }

    #[test]
    fn a_live_run_ends_with_everything_cut_and_nothing_held() {
        for seed in 0..20 {
            let recording = live(seed).expect("a run");
            let end = recording.step_count(Direction::Received);
            let scene = recording.scene(Direction::Received, end);
            assert_eq!(scene.written, [260, 2060, 132]);
            assert_eq!(scene.reads.iter().sum::<usize>(), 2452);
            assert_eq!(scene.frames.iter().map(|(len, _)| *len).collect::<Vec<_>>(), [256, 2056, 128]);
            assert_eq!((scene.held, scene.state.as_str()), (0, "at an end between two frames"));
            // Forwards and back: a scene depends on its number alone.
            let middle = recording.scene(Direction::Received, end / 2);
            assert_eq!(middle, recording.scene(Direction::Received, end / 2));
            assert!(middle.frames.len() < 3);
        }
    }
}
