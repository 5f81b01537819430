//! The events of a pool as telemetry.

use super::{PoolEvent, PoolObserver, Rejected, TaskEnd};
use crate::telemetry::{ExceptionKind, Family, Rejection, TaskOutcome, Telemetry, WorkerPoolEvent};

/// A pool whose observer is a [`Telemetry`] tells its events to the handlers there (specification, section 16).
impl PoolObserver for Telemetry {
    fn observe(&self, event: &PoolEvent) {
        self.emit(Family::WorkerPool, || told(event));
    }

    fn listens(&self) -> bool {
        Self::listens(self, Family::WorkerPool)
    }
}

fn told(event: &PoolEvent) -> WorkerPoolEvent<'_> {
    match event {
        PoolEvent::TaskStart { pool, waited } => WorkerPoolEvent::TaskStart {
            pool,
            waited: *waited,
        },
        PoolEvent::TaskStop {
            pool,
            duration,
            end,
        } => WorkerPoolEvent::TaskStop {
            pool,
            duration: *duration,
            outcome: match end {
                TaskEnd::Completed => TaskOutcome::Success,
                TaskEnd::Cancelled => TaskOutcome::Cancelled,
                TaskEnd::Error | TaskEnd::Panicked | TaskEnd::TimedOut => TaskOutcome::Failed,
            },
        },
        PoolEvent::TaskException {
            pool,
            duration,
            end,
        } => WorkerPoolEvent::TaskException {
            pool,
            duration: *duration,
            kind: match end {
                TaskEnd::TimedOut => ExceptionKind::Timeout,
                _ => ExceptionKind::Panic,
            },
        },
        PoolEvent::Rejected { pool, reason } => WorkerPoolEvent::TaskRejected {
            pool,
            rejection: match reason {
                Rejected::QueueFull => Rejection::QueueFull,
                Rejected::CircuitOpen { .. } => Rejection::CircuitOpen,
            },
        },
        PoolEvent::CircuitOpen { pool, cooldown } => WorkerPoolEvent::CircuitOpen {
            pool,
            cooldown: *cooldown,
        },
        PoolEvent::CircuitHalfOpen { pool } => WorkerPoolEvent::CircuitHalfOpen { pool },
        PoolEvent::CircuitClose { pool } => WorkerPoolEvent::CircuitClose { pool },
    }
}
