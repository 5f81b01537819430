//! What a pool tells whoever watches it: its tasks, its refusals and its circuit.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use thiserror::Error;

/// How a task of a pool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskEnd {
    /// With its result.
    Completed,
    /// With an error of the function's own, which is no failure of the pool: to the circuit it is like a result.
    Error,
    /// With a panic.
    Panicked,
    /// Not within the time it had.
    TimedOut,
    /// Not at all: it was killed, or nobody wanted it any more. To the circuit it is as if it had never been.
    Cancelled,
}

impl TaskEnd {
    /// Whether this end counts against the circuit: a panic or a timeout.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Panicked | Self::TimedOut)
    }
}

/// Why a pool refused a task; it may be tried again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rejected {
    /// All places are taken and the queue is full.
    #[error("all places of the pool are taken and its queue is full")]
    QueueFull,
    /// Too many tasks in a row panicked or timed out.
    #[error("the circuit of the pool is open, for another {} ms", .retry_after.as_millis())]
    CircuitOpen {
        /// How long until a trial is let through.
        retry_after: Duration,
    },
}

/// Something that happened in a pool (specification, section 16).
///
/// Each `TaskStart` is followed by exactly one `TaskStop` or `TaskException`, also when the task is killed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolEvent {
    /// A task got its place.
    TaskStart {
        /// The name of the pool.
        pool: Arc<str>,
        /// How long it was queued before.
        waited: Duration,
    },
    /// A task ended: completed, with an error of its own, or cancelled.
    TaskStop {
        /// The name of the pool.
        pool: Arc<str>,
        /// How long it held its place.
        duration: Duration,
        /// How it ended.
        end: TaskEnd,
    },
    /// A task panicked or timed out.
    TaskException {
        /// The name of the pool.
        pool: Arc<str>,
        /// How long it held its place.
        duration: Duration,
        /// Which of the two.
        end: TaskEnd,
    },
    /// A task was refused.
    Rejected {
        /// The name of the pool.
        pool: Arc<str>,
        /// Why.
        reason: Rejected,
    },
    /// The circuit opened: too many failures in a row, or a trial that failed.
    CircuitOpen {
        /// The name of the pool.
        pool: Arc<str>,
        /// How long it rejects every call.
        cooldown: Duration,
    },
    /// The cooldown is over and a call came: it is the trial.
    CircuitHalfOpen {
        /// The name of the pool.
        pool: Arc<str>,
    },
    /// The circuit closed: the trial succeeded, or somebody reset it.
    CircuitClose {
        /// The name of the pool.
        pool: Arc<str>,
    },
}

/// Receives the events of a pool.
///
/// Any `Fn(&PoolEvent) + Send + Sync` is one. It is called on the thread where the event happened, when the pool is
/// unlocked again, so it may ask the pool anything; events of different threads may overtake each other. It must not block;
/// a panic in it is caught and logged.
pub trait PoolObserver: Send + Sync + 'static {
    /// Called for each event.
    fn observe(&self, event: &PoolEvent);

    /// Whether it wants events at the moment; while it does not, none are made for it and no clock is read. Always, unless
    /// an observer knows better.
    fn listens(&self) -> bool {
        true
    }
}

impl<F: Fn(&PoolEvent) + Send + Sync + 'static> PoolObserver for F {
    fn observe(&self, event: &PoolEvent) {
        self(event);
    }
}
