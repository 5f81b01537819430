//! The pieces of a stream that wait to be read, and how much room they take.

use serde_json::Value;

/// How many bytes of chunks may wait where nobody says otherwise.
pub(crate) const DEFAULT_BUFFER_BYTES: usize = 1_000_000;

/// How much of a stream may wait in one place: so many chunks, and so many bytes of them.
///
/// Both are one number: a chunk takes one place for each started share of the bytes, so small ones are bounded by their
/// count and large ones by their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamBuffer {
    places: u32,
    bytes_a_place: usize,
}

/// A piece of a stream, measured.
#[derive(Debug, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) value: Value,
    /// How many places of the buffer it takes: from 1 to all.
    pub(crate) places: u32,
}

impl StreamBuffer {
    /// Room for so many chunks (at least one) of so many bytes in all.
    pub(crate) fn new(chunks: usize, bytes: usize) -> Self {
        let places = u32::try_from(chunks).unwrap_or(u32::MAX).max(1);
        Self {
            places,
            bytes_a_place: (bytes / places as usize).max(1),
        }
    }

    pub(crate) fn places(self) -> usize {
        self.places as usize
    }

    pub(crate) fn chunk(self, value: Value) -> Chunk {
        let needed = bytes_of(&value).div_ceil(self.bytes_a_place);
        let places = u32::try_from(needed).unwrap_or(u32::MAX);
        Chunk {
            value,
            places: places.clamp(1, self.places),
        }
    }
}

/// About how much memory a value takes.
fn bytes_of(value: &Value) -> usize {
    let beside = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes_of).sum(),
        Value::Object(entries) => {
            let entry =
                |(key, value): (&String, _)| size_of::<String>() + key.len() + bytes_of(value);
            entries.iter().map(entry).sum()
        }
        _ => 0,
    };
    size_of::<Value>() + beside
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_chunk_takes_a_place_for_each_started_share_of_the_bytes_and_never_more_than_there_are() {
        let buffer = StreamBuffer::new(10, 10_000);
        let places = |value| buffer.chunk(value).places;
        let text = |bytes| json!("x".repeat(bytes));
        assert_eq!(places(json!(null)), 1);
        assert_eq!(places(text(900)), 1);
        assert_eq!(places(text(1_000)), 2);
        assert_eq!(places(json!([text(1_000), text(1_000)])), 3);
        assert_eq!(places(json!({"key": text(3_000)})), 4);
        assert_eq!(places(text(1_000_000)), 10);
        assert_eq!(StreamBuffer::new(0, 0).chunk(text(9)).places, 1);
    }
}
