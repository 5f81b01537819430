//! Worker pools and their circuit breakers.

use std::time::Duration;

use super::ExceptionKind;

/// How a task ended that did not break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskOutcome {
    /// With its result.
    Success,
    /// With an error of the function's own, which is no failure of the pool.
    Failed,
    /// Not at all: it was killed, or nobody wanted it any more.
    Cancelled,
}

impl TaskOutcome {
    /// Its name in lower case, for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
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
}

impl Rejection {
    /// Its name in snake case, for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::CircuitOpen => "circuit_open",
        }
    }
}

/// What happened in a worker pool (specification, section 14). Each `TaskStart` is followed by one `TaskStop` or `TaskException`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerPoolEvent<'a> {
    /// A task has got its place and begins.
    #[non_exhaustive]
    TaskStart {
        /// The name of the pool: `async` or `stream`, or what an embedder calls one of his own.
        pool: &'a str,
        /// How long it waited in the queue.
        waited: Duration,
    },
    /// A task is done.
    #[non_exhaustive]
    TaskStop {
        /// The pool.
        pool: &'a str,
        /// How long it ran.
        duration: Duration,
        /// How it ended.
        outcome: TaskOutcome,
    },
    /// A task panicked or timed out.
    #[non_exhaustive]
    TaskException {
        /// The pool.
        pool: &'a str,
        /// How long it ran.
        duration: Duration,
        /// Which of the two.
        kind: ExceptionKind,
    },
    /// A task was not taken.
    #[non_exhaustive]
    TaskRejected {
        /// The pool.
        pool: &'a str,
        /// Why.
        rejection: Rejection,
    },
    /// The circuit opened: tasks are rejected until the cooldown is over.
    #[non_exhaustive]
    CircuitOpen {
        /// The pool.
        pool: &'a str,
        /// The cooldown.
        cooldown: Duration,
    },
    /// The cooldown is over and a task came: it is the trial.
    #[non_exhaustive]
    CircuitHalfOpen {
        /// The pool.
        pool: &'a str,
    },
    /// The trial went well, or somebody reset the circuit: tasks are taken again.
    #[non_exhaustive]
    CircuitClose {
        /// The pool.
        pool: &'a str,
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
