//! How a child is doing: [`ChildStats`], as a [`ChildRef`](crate::ChildRef::stats) and the tree show it.

use std::{fmt, time::Duration};

use crate::exit::ExitReason;

/// How a child is doing at this moment, taken without a message and without waiting for it. Times are told by the tokio clock of
/// whoever looks.
///
/// Messages that were sent past the handle, to an actix address, are not counted; see [`guarantees`](crate::guarantees).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildStats {
    /// How many starts were tried after the first one, by whom ever.
    pub restarts: u64,
    /// Why the latest incarnation that ended has ended.
    pub last_exit: Option<ExitReason>,
    /// How many messages wait in its mailbox.
    pub waiting: usize,
    /// How many messages were taken from its mailbox, by this incarnation; by all of them where the mailbox is kept.
    pub handled: u64,
    /// Whether it is at work, or has work that waits. An actor that waits for a future of its own (`ctx.wait`, an
    /// `AtomicResponse`) is at work.
    pub busy: bool,
    /// The message that it is at work on, for a child with [`ChildSpec::stuck_after`](crate::ChildSpec::stuck_after).
    pub current: Option<CurrentMessage>,
}

impl ChildStats {
    /// Whether it has been at work on one message for too long.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.stuck)
    }
}

/// The message that an actor is at work on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentMessage {
    /// The Rust type of the message.
    pub message: &'static str,
    /// For how long it has been at work on it.
    pub time: Duration,
    /// Whether that is longer than the spec allows.
    pub stuck: bool,
}

/// What a line of a printed tree says of it: nothing, unless there is something to look at.
impl fmt::Display for ChildStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.waiting > 0 {
            write!(f, ", {} waiting", self.waiting)?;
        }
        match &self.current {
            Some(current) if current.stuck => {
                write!(f, ", stuck in {} for {:?}", current.message, current.time)
            }
            _ => Ok(()),
        }
    }
}
