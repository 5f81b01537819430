//! The engine itself, the requests it takes and the streams it opens.

use std::{num::NonZero, thread, time::Duration};

use serde::{Deserialize, Serialize};

use crate::model::{DEFAULT_BUFFER_BYTES, DEFAULT_MAX_PAYLOAD_BYTES, StreamBuffer};

/// The threads of the engine and how much it takes on at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct EngineSettings {
    /// The threads of the engine's own, which run its actors and its async and stream calls; at most 1 024. The default
    /// is 0: as many as there are processors, but no more than 4. Sync calls run on the threads of their callers.
    pub threads: usize,
    /// How many requests may be under way at a time; what exceeds it is answered at once with `Service temporarily
    /// unavailable` (specification, section 3). Async and none calls count until they have ended, streams until they are open. At
    /// least 1; by default there is no limit.
    pub max_in_flight: Option<usize>,
    /// How long a stop waits for what is under way, in milliseconds, before it is cut (specification, section 23); 5 000 by default.
    /// With 0 everything is cut at once.
    pub stop_timeout_ms: u64,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            threads: 0,
            max_in_flight: None,
            stop_timeout_ms: 5_000,
        }
    }
}

impl EngineSettings {
    /// How many threads the engine starts: [`threads`](Self::threads), or what its default stands for on this machine.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        match self.threads {
            0 => thread::available_parallelism()
                .map_or(1, NonZero::get)
                .min(4),
            threads => threads,
        }
    }

    /// [`stop_timeout_ms`](Self::stop_timeout_ms).
    #[must_use]
    pub fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms)
    }
}

/// What is held to before a request is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct RequestSettings {
    /// How large a JSON request may be, in bytes (specification, section 2); at least 1, and 1 000 000 by default.
    pub max_payload_bytes: usize,
}

impl Default for RequestSettings {
    fn default() -> Self {
        Self {
            max_payload_bytes: DEFAULT_MAX_PAYLOAD_BYTES,
        }
    }
}

/// What holds for each stream. How many may be open is [`Settings::stream_pool`](super::Settings::stream_pool).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct StreamSettings {
    /// How many chunks may wait for a slow receiver before the producer has to wait, as many in the stream's handle and
    /// before the receiver each (specification, section 7); 1 to 1 000 000, and 128 by default. More means fewer changes between the
    /// threads of both; no room is set apart for them before they wait.
    pub buffer: usize,
    /// How many bytes of chunks may wait there, about as much memory as they take (specification, section 7); at least 1, and 1 000 000
    /// by default. A chunk takes one place of [`buffer`](Self::buffer) for each started share of these bytes; one that is
    /// larger than all of them waits until nothing else does.
    pub buffer_bytes: usize,
}

impl StreamSettings {
    pub(crate) fn room(&self) -> StreamBuffer {
        StreamBuffer::new(self.buffer, self.buffer_bytes)
    }
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            buffer: 128,
            buffer_bytes: DEFAULT_BUFFER_BYTES,
        }
    }
}
