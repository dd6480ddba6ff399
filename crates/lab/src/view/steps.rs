//! A recording, step by step: how much there is of each row, and what the decoder is at.

use super::HEADER_LEN;
use super::recording::{Direction, Event, Recording};

/// Most cells of a row that are shown at once: more than any terminal is wide.
const ROW_CELLS_MAX: usize = 1_000;

/// What is known after a number of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    direction: Direction,
    /// How many writes there have been.
    pub written: usize,
    /// How many reads.
    pub reads: usize,
    /// How many frames.
    pub frames: usize,
    /// Bytes that have arrived and belong to no frame yet.
    pub held: usize,
    /// Length of the payload that will turn out to come next.
    next: Option<usize>,
    last: Option<&'a Event>,
}

/// The newest cells of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The cells, oldest first.
    pub cells: Vec<Cell>,
    /// How many older ones there are.
    pub hidden: usize,
}

/// One write, one read, or one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Bytes on the wire.
    pub len: usize,
    /// A few words for it.
    pub label: String,
}

/// What is to be seen after a number of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene<'a> {
    /// The numbers, and the decoder.
    pub step: Step<'a>,
    /// What was written.
    pub written: Row,
    /// What arrived.
    pub reads: Row,
    /// What the decoder cut.
    pub frames: Row,
}

impl Recording {
    /// The events of one direction, in order.
    pub(super) fn of(&self, direction: Direction) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter().filter(move |event| event.direction() == direction)
    }

    /// How many steps there are in a direction.
    pub fn step_count(&self, direction: Direction) -> usize {
        self.of(direction).count()
    }

    /// Every step of a direction, from the one before the first event on.
    pub fn steps(&self, direction: Direction) -> impl Iterator<Item = Step<'_>> {
        let mut frames = self.of(direction).filter_map(Event::frame_len);
        let begin = Step { direction, written: 0, reads: 0, frames: 0, held: 0, next: frames.next(), last: None };
        let after = self.of(direction).scan(begin, move |step, event| {
            step.last = Some(event);
            match event {
                Event::Written { .. } => step.written += 1,
                Event::Read { len, .. } => {
                    step.reads += 1;
                    // A recording can say anything: what is too much for a number stays at its end.
                    step.held = step.held.saturating_add(*len);
                }
                Event::Frame { len, .. } => {
                    step.frames += 1;
                    step.held = step.held.saturating_sub(len.saturating_add(HEADER_LEN));
                    step.next = frames.next();
                }
            }
            Some(*step)
        });
        std::iter::once(begin).chain(after)
    }

    /// What is to be seen after the first `steps` events of a direction.
    pub fn scene(&self, direction: Direction, steps: usize) -> Scene<'_> {
        let steps = steps.min(self.step_count(direction));
        let step = self.steps(direction).nth(steps);
        let step = step.unwrap_or(Step { direction, written: 0, reads: 0, frames: 0, held: 0, next: None, last: None });
        let row = |count: usize, cell: fn(&Event) -> Option<Cell>| {
            let hidden = count.saturating_sub(ROW_CELLS_MAX);
            Row { cells: self.of(direction).take(steps).filter_map(cell).skip(hidden).collect(), hidden }
        };
        Scene {
            step,
            written: row(step.written, Event::written_cell),
            reads: row(step.reads, Event::read_cell),
            frames: row(step.frames, Event::frame_cell),
        }
    }
}

impl Step<'_> {
    /// What the decoder waits for. A sender has no decoder: what it has written is gone.
    pub fn state(&self) -> String {
        match (self.direction, self.next) {
            (Direction::Received, next) => state(self.held, next),
            (Direction::Sent, Some(len)) => format!("next frame: a payload of {len}"),
            (Direction::Sent, None) => "all was sent".to_owned(),
        }
    }

    /// What happened last.
    pub fn last_in_words(&self) -> String {
        self.last.map_or_else(|| "nothing has happened yet".to_owned(), Event::in_words)
    }
}

/// What the decoder waits for, from what it holds and what will turn out to come.
fn state(held: usize, next: Option<usize>) -> String {
    match (held, next) {
        (0, None) => "at an end between two frames".to_owned(),
        (0, Some(_)) => "between two frames, waits for a header".to_owned(),
        (held @ 1..HEADER_LEN, _) => format!("header, {held} of {HEADER_LEN} bytes"),
        (held, Some(len)) if held - HEADER_LEN < len => format!("payload, {} of {len} bytes", held - HEADER_LEN),
        (_, Some(len)) => format!("all {len} bytes are there, cut next"),
        (_, None) => "a frame whose end never came".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Kind, live};

    #[test]
    fn the_decoder_is_in_every_state_in_turn() {
        assert_eq!(state(0, Some(5)), "between two frames, waits for a header");
        assert_eq!(state(3, Some(5)), "header, 3 of 4 bytes");
        assert_eq!(state(4, Some(5)), "payload, 0 of 5 bytes");
        assert_eq!(state(8, Some(5)), "payload, 4 of 5 bytes");
        assert_eq!(state(9, Some(5)), "all 5 bytes are there, cut next");
        assert_eq!(state(0, None), "at an end between two frames");
        assert_eq!(state(7, None), "a frame whose end never came");
    }

    #[test]
    fn a_live_run_ends_with_everything_cut_and_nothing_held() {
        for seed in 0..20 {
            let recording = live(seed).expect("a run");
            let end = recording.step_count(Direction::Received);
            let scene = recording.scene(Direction::Received, end);
            let lengths = |row: &Row| row.cells.iter().map(|cell| cell.len).collect::<Vec<_>>();
            assert_eq!(lengths(&scene.written), [260, 2060, 132]);
            assert_eq!(lengths(&scene.reads).iter().sum::<usize>(), 2452);
            assert_eq!(lengths(&scene.frames), [260, 2060, 132]);
            assert_eq!((scene.step.held, scene.step.state().as_str()), (0, "at an end between two frames"));
            // Forwards and back: a scene depends on its number alone.
            let middle = recording.scene(Direction::Received, end / 2);
            assert_eq!(middle, recording.scene(Direction::Received, end / 2));
            assert!(middle.frames.cells.len() < 3);
        }
    }

    #[test]
    fn lengths_that_lie_overflow_nothing() {
        let lies = [usize::MAX, usize::MAX - 2, 1, usize::MAX];
        let way = Direction::Received;
        let mut events = Vec::new();
        for len in lies {
            events.push(Event::Written { us: 0, way, len });
            // Twice, so that a frame does not take away what was too much.
            events.extend([Event::Read { us: 0, len }, Event::Read { us: 0, len }]);
            events.push(Event::Frame { us: 0, way, kind: Kind::Data, len, text: String::new() });
        }
        let recording = Recording { events };
        for step in 0..=recording.step_count(way) {
            let scene = recording.scene(way, step);
            assert_eq!(scene.step, recording.steps(way).nth(step).expect("as many steps"));
            assert!(!scene.step.state().is_empty());
        }
    }

    #[test]
    fn a_row_keeps_its_newest_cells_and_their_numbers() {
        let read = |number| Event::Read { us: 0, len: number };
        let recording = Recording { events: (1..=ROW_CELLS_MAX + 5).map(read).collect() };
        let row = recording.scene(Direction::Received, ROW_CELLS_MAX + 3).reads;
        assert_eq!((row.hidden, row.cells.len()), (3, ROW_CELLS_MAX));
        assert_eq!((row.cells[0].len, row.cells[ROW_CELLS_MAX - 1].len), (4, ROW_CELLS_MAX + 3));
    }
}
