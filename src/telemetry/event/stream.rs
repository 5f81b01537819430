//! Streams.

use std::time::Duration;

/// What happened to a stream (specification, section 7). Each `Start` is followed by one `Stop`, also where its actor is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEvent<'a> {
    /// A stream is open, and its function begins.
    #[non_exhaustive]
    Start {
        /// The request it answers.
        request_id: &'a str,
        /// The service.
        service: &'a str,
        /// The function.
        request_type: &'a str,
        /// How many streams are open now, this one included.
        open: usize,
    },
    /// A stream is closed.
    #[non_exhaustive]
    Stop {
        /// The request it answered.
        request_id: &'a str,
        /// The service.
        service: &'a str,
        /// The function.
        request_type: &'a str,
        /// The time since its start.
        duration: Duration,
        /// How many chunks were handed on, not counting a terminal one.
        chunks: u64,
        /// How it ended.
        end: StreamEnd,
        /// How many streams are open now, without this one.
        open: usize,
    },
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamEnd {
    /// Its producer completed it, with or without a last chunk.
    Complete,
    /// It was stopped from outside.
    Stopped,
    /// Its function failed, timed out, or vanished without an end.
    Failed,
    /// Nobody reads it any more.
    ReceiverGone,
    /// Its actor was killed.
    Lost,
}

impl StreamEnd {
    /// Its name in snake case, for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::ReceiverGone => "receiver_gone",
            Self::Lost => "lost",
        }
    }
}

pub(super) const NAMES: &[&str] = &["gen_api.stream.start", "gen_api.stream.stop"];

impl StreamEvent<'_> {
    /// Its name, such as `gen_api.stream.stop`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "gen_api.stream.start",
            Self::Stop { .. } => "gen_api.stream.stop",
        }
    }
}
