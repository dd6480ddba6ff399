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
mod steps;
mod terminal;

pub use html::page;
pub use live::live;
pub use recording::{Direction, Event, Kind, Recording};
pub use steps::{Cell, Row, Scene, Step};
pub use terminal::{Key, Viewer, run};

/// Length of a header in bytes.
const HEADER_LEN: usize = 4;
