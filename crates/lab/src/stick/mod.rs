//! The sticky-packet fault, live on real sockets: where it comes from, what it looks like, and four cures.

mod classic;
mod cure;
mod nagle;
mod split;
mod udp;

use std::io::Write;

use crate::{LabError, Paint};

/// Options of [`run`].
#[derive(Debug, Clone)]
pub struct Options {
    /// What is random comes from it.
    pub seed: u64,
    /// How often the sender and the receiver run free, each as fast as it can.
    pub rounds: usize,
    /// Whether to use colours.
    pub paint: Paint,
}

/// Shows everything, part by part.
///
/// # Errors
/// When the sockets or `out` fail, or a part does not show what it promises.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), LabError> {
    let paint = options.paint;
    writeln!(out, "{}", paint.heading("1. Three writes, and reads of at most 1,024 bytes"))?;
    classic::show(options, out)?;
    writeln!(out, "\n{}", paint.heading("2. Small writes, merged by the sender's own kernel (Nagle)"))?;
    nagle::show(out)?;
    writeln!(out, "\n{}", paint.heading("3. One write, many reads"))?;
    split::show(out)?;
    writeln!(out, "\n{}", paint.heading("4. The same over UDP: boundaries hold, and datagrams can be lost"))?;
    udp::show(paint, out)?;
    writeln!(out, "\n{}", paint.heading("5. The cure: say where a message ends"))?;
    cure::show(options, out)
}

/// A number as people read it: `2,056`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
