//! The three rows in a terminal: arrow keys step, `w` turns to the other direction, `q` leaves.

use std::io;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event as TerminalEvent, KeyCode, KeyEventKind};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};

use super::{Direction, Recording, Row};

/// The colours of neighbouring cells.
const COLOURS: [Color; 5] = [Color::Green, Color::Yellow, Color::Blue, Color::Magenta, Color::Cyan];

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// One step on.
    On,
    /// One step back.
    Back,
    /// To the start.
    Start,
    /// To the end.
    End,
    /// The other direction.
    Turn,
    /// Leave.
    Quit,
}

/// Where a person is in a recording.
#[derive(Debug)]
pub struct Viewer<'a> {
    recording: &'a Recording,
    direction: Direction,
    step: usize,
}

impl<'a> Viewer<'a> {
    /// At the start of what came; where nothing came, of what was sent.
    pub fn new(recording: &'a Recording) -> Self {
        let direction = match recording.step_count(Direction::Received) {
            0 => Direction::Sent,
            _ => Direction::Received,
        };
        Self { recording, direction, step: 0 }
    }

    /// Moves; false when it is time to leave.
    pub fn press(&mut self, key: Key) -> bool {
        let end = self.recording.step_count(self.direction);
        match key {
            Key::On => self.step = (self.step + 1).min(end),
            Key::Back => self.step = self.step.saturating_sub(1),
            Key::Start => self.step = 0,
            Key::End => self.step = end,
            Key::Turn => self.turn(),
            Key::Quit => return false,
        }
        true
    }

    /// To the start of the other direction, if anything went that way.
    fn turn(&mut self) {
        let other = match self.direction {
            Direction::Sent => Direction::Received,
            Direction::Received => Direction::Sent,
        };
        if self.recording.step_count(other) > 0 {
            (self.direction, self.step) = (other, 0);
        }
    }

    /// Draws the present step.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let scene = self.recording.scene(self.direction, self.step);
        let end = self.recording.step_count(self.direction);
        let [rows, below, keys] =
            Layout::vertical([Constraint::Length(8), Constraint::Min(4), Constraint::Length(1)]).areas(frame.area());
        let way = if self.direction == Direction::Sent { "what was sent" } else { "what came" };
        let block = Block::bordered().title(format!(" {way}: step {} of {end} ", self.step));
        let inner = block.inner(rows);
        frame.render_widget(block, rows);
        let lines = vec![
            row("written", &scene.written, inner),
            Line::default(),
            row("read", &scene.reads, inner),
            Line::default(),
            row("frames", &scene.frames, inner),
        ];
        frame.render_widget(Paragraph::new(lines), inner);
        let (held, state, last) = (scene.step.held, scene.step.state(), scene.step.last_in_words());
        let words = format!("decoder  holds {held} bytes: {state}\nlast     {last}");
        frame.render_widget(Paragraph::new(words).wrap(Wrap { trim: false }), below);
        frame.render_widget(Paragraph::new("arrows Home End, w other way, q quit"), keys);
    }
}

/// A row that shows its newest cells where not all fit. The brackets show a cell where there are no colours.
fn row(name: &str, row: &Row, area: Rect) -> Line<'static> {
    let mut spans = Vec::new();
    let mut room = usize::from(area.width).saturating_sub(9);
    let mut is_newest = true;
    for (number, cell) in row.cells.iter().enumerate().rev() {
        // A cell grows with the logarithm: one byte and 256 KiB are both to be seen.
        let width = (cell.label.chars().count() + 2).max(2 * (cell.len.max(1).ilog2() as usize));
        if width > room {
            spans.push(Span::raw(".."));
            break;
        }
        room -= width;
        let style = Style::new().fg(Color::Black).bg(COLOURS[(row.hidden + number) % COLOURS.len()]);
        let style = if is_newest { style.add_modifier(Modifier::BOLD) } else { style };
        is_newest = false;
        spans.push(Span::styled(format!("[{:^within$}]", cell.label, within = width - 2), style));
    }
    spans.push(Span::raw(format!("{name:<8}")));
    spans.reverse();
    Line::from(spans)
}

/// Shows a recording until the person leaves.
///
/// # Errors
/// When the terminal fails.
pub fn run(recording: &Recording) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let shown = step_through(&mut terminal, &mut Viewer::new(recording));
    ratatui::try_restore()?;
    shown
}

fn step_through(terminal: &mut ratatui::DefaultTerminal, viewer: &mut Viewer<'_>) -> io::Result<()> {
    loop {
        terminal.draw(|frame| viewer.draw(frame))?;
        let TerminalEvent::Key(key) = event::read()? else { continue };
        let wish = match key.code {
            KeyCode::Right | KeyCode::Char(' ' | 'l') => Key::On,
            KeyCode::Left | KeyCode::Char('h') => Key::Back,
            KeyCode::Home => Key::Start,
            KeyCode::End => Key::End,
            KeyCode::Char('w') => Key::Turn,
            KeyCode::Char('q' | 'c') | KeyCode::Esc => Key::Quit,
            _ => continue,
        };
        if key.kind != KeyEventKind::Release && !viewer.press(wish) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::view::live;

    fn shown(viewer: &Viewer<'_>) -> String {
        let mut terminal = Terminal::new(TestBackend::new(100, 16)).expect("a screen");
        terminal.draw(|frame| viewer.draw(frame)).expect("drawn");
        terminal.backend().to_string()
    }

    #[test]
    fn steps_go_forwards_and_back() {
        let recording = live(1).expect("a run");
        let mut viewer = Viewer::new(&recording);
        assert!(shown(&viewer).contains("nothing has happened yet"));
        for _ in 0..3 {
            assert!(viewer.press(Key::On));
        }
        let three = shown(&viewer);
        assert!(three.contains("[     260      ]") && three.contains("2060") && three.contains("132"), "{three}");
        assert!(viewer.press(Key::End) && viewer.press(Key::On));
        let end = shown(&viewer);
        assert!(end.contains("128 C") && end.contains("decoder  holds 0 bytes"), "{end}");
        assert!(viewer.press(Key::Start) && viewer.press(Key::Back));
        for _ in 0..3 {
            assert!(viewer.press(Key::On));
        }
        assert_eq!(shown(&viewer), three);
        assert!(viewer.press(Key::Turn) && shown(&viewer) == three, "nothing was sent, so there is nothing to turn to");
        assert!(!viewer.press(Key::Quit));
    }
}
