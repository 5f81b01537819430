//! Texts that came from clients and nodes, as values of a log line.
//!
//! Such a text is given to `tracing` as a string, never with `%`: subscribers quote and escape strings, and write what
//! `Display` prints as it is, so that a line break or a colour code in it would forge a line. A test of this module reads the
//! sources for it.

use std::fmt::{self, Write};

/// The longest text of a stranger in a log line, in bytes.
pub(crate) const LONGEST: usize = 256;

/// A text, cut to what a log line has room for.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// What something prints, an error above all, cut to what a log line has room for. No more of it is written than that.
pub(crate) fn printed(value: impl fmt::Display) -> String {
    let mut cut = Cut(String::new());
    // The error is how `Cut` says that it is full.
    let _ = write!(cut, "{value}");
    cut.0
}

struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
