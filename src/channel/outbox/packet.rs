//! Frames on their way into an outbox.

use std::cell::RefCell;

use smallvec::SmallVec;

use crate::channel::frame::{EncodeError, Kind};

/// Frames that are sent together, in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Packet {
    pub(super) bytes: Vec<u8>,
    /// Of each frame its kind and its end in the buffer.
    ends: SmallVec<[(Kind, usize); 2]>,
}

impl Packet {
    /// Lends a packet of this thread, so that writing one allocates nothing.
    pub(super) fn scratch<T>(with: impl FnOnce(&mut Self) -> T) -> T {
        /// A larger buffer is not kept.
        const KEEP: usize = 65_536;
        thread_local! {
            static SCRATCH: RefCell<Packet> = RefCell::default();
        }
        let mut packet = SCRATCH.take();
        let result = with(&mut packet);
        if packet.bytes.capacity() <= KEEP {
            packet.bytes.clear();
            packet.ends.clear();
            SCRATCH.set(packet);
        }
        result
    }

    /// Adds a frame; one that cannot be written is left out, and that is logged.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<Kind, EncodeError>) {
        if let Err(error) = self.try_add(write) {
            tracing::warn!(
                error = crate::log_text::printed(&error),
                "a frame could not be written"
            );
        }
    }

    /// Adds a frame.
    pub(crate) fn try_add(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<Kind, EncodeError>,
    ) -> Result<(), EncodeError> {
        let begin = self.bytes.len();
        match write(&mut self.bytes) {
            Ok(kind) => {
                self.ends.push((kind, self.bytes.len()));
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(begin);
                Err(error)
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn frames(&self) -> impl Iterator<Item = (Kind, &[u8])> {
        let mut begin = 0;
        self.ends.iter().map(move |&(kind, end)| {
            let frame = &self.bytes[begin..end];
            begin = end;
            (kind, frame)
        })
    }
}
