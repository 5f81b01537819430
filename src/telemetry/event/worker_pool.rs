//! Worker pools and their circuit breakers.

use std::time::Duration;

use super::{ExceptionKind, Reason};

/// Which worker pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pool {
    /// The one of async and none calls.
    Async,
    /// The one of streams.
    Stream,
}

impl Pool {
    /// Its name in lower case, for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Stream => "stream",
        }
    }
}

/// Why a pool took no task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// All places are taken, and the queue is full.
    QueueFull,
    /// The circuit is open.
    CircuitOpen,
    /// The engine is stopping.
    Stopping,
}

impl Rejection {
    /// Its name in snake case, for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::CircuitOpen => "circuit_open",
            Self::Stopping => "stopping",
        }
    }
}

/// What happened in a worker pool (SPEC section 14). Each `TaskStart` is followed by one `TaskStop` or `TaskException`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum WorkerPoolEvent<'a> {
    /// A task has got its place and begins.
    #[non_exhaustive]
    TaskStart {
        /// The pool.
        pool: Pool,
        /// The request it is for.
        request_id: &'a str,
        /// How long it waited in the queue.
        queued: Duration,
    },
    /// A task is done.
    #[non_exhaustive]
    TaskStop {
        /// The pool.
        pool: Pool,
        /// The request it was for.
        request_id: &'a str,
        /// How long it ran.
        duration: Duration,
        /// Whether its function answered with a result; an error of its own is no failure of the pool.
        success: bool,
    },
    /// A task panicked, timed out or was killed.
    #[non_exhaustive]
    TaskException {
        /// The pool.
        pool: Pool,
        /// The request it was for.
        request_id: &'a str,
        /// How long it ran.
        duration: Duration,
        /// In which way it broke.
        kind: ExceptionKind,
        /// Why; for logs, not for clients.
        reason: Reason<'a>,
    },
    /// A task was not taken.
    #[non_exhaustive]
    TaskRejected {
        /// The pool.
        pool: Pool,
        /// The request it was for.
        request_id: &'a str,
        /// Why.
        rejection: Rejection,
    },
    /// The circuit opened: tasks are rejected until the cooldown is over.
    #[non_exhaustive]
    CircuitOpen {
        /// The pool.
        pool: Pool,
        /// How many tasks in a row broke.
        failures: u32,
        /// The cooldown.
        cooldown: Duration,
    },
    /// The cooldown is over: one task is let through on trial.
    #[non_exhaustive]
    CircuitHalfOpen {
        /// The pool.
        pool: Pool,
    },
    /// The trial went well: tasks are taken again.
    #[non_exhaustive]
    CircuitClose {
        /// The pool.
        pool: Pool,
    },
}

pub(super) const NAMES: &[&str] = &[
    "gen_api.worker_pool.task.start",
    "gen_api.worker_pool.task.stop",
    "gen_api.worker_pool.task.exception",
    "gen_api.worker_pool.task.rejected",
    "gen_api.worker_pool.circuit.open",
    "gen_api.worker_pool.circuit.half_open",
    "gen_api.worker_pool.circuit.close",
];

impl WorkerPoolEvent<'_> {
    /// Its name, such as `gen_api.worker_pool.task.stop`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TaskStart { .. } => "gen_api.worker_pool.task.start",
            Self::TaskStop { .. } => "gen_api.worker_pool.task.stop",
            Self::TaskException { .. } => "gen_api.worker_pool.task.exception",
            Self::TaskRejected { .. } => "gen_api.worker_pool.task.rejected",
            Self::CircuitOpen { .. } => "gen_api.worker_pool.circuit.open",
            Self::CircuitHalfOpen { .. } => "gen_api.worker_pool.circuit.half_open",
            Self::CircuitClose { .. } => "gen_api.worker_pool.circuit.close",
        }
    }
}
