//! One task in its place: waits for its turn, runs with its panic contained and within its time, and reports its end.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use futures_core::future::BoxFuture;
use thiserror::Error;

use super::{
    event::{Rejected, TaskEnd},
    ticket::Ticket,
};
use crate::{
    call::local::contained::Contained,
    clock::{Clock, within},
};

/// Why a task that was sent to a pool has no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The pool refused it; it never ran.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// It panicked, with this text.
    #[error("the task panicked: {0}")]
    Panicked(String),
    /// It did not end within its time.
    #[error("the task timed out after {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The engine is stopping; it never ran.
    #[error("the engine is stopping")]
    Stopping,
    /// The thread that had it stopped before the task ended, or the engine did not wait for it any longer.
    #[error("the thread of the task stopped")]
    ThreadStopped,
}

/// Runs a task once its ticket's turn has come. The time runs from the first time that the task waits; it may wait as long for
/// its turn.
pub(super) async fn run<T>(
    ticket: Ticket,
    task: Contained<BoxFuture<'static, T>>,
    timeout: Option<Duration>,
    clock: Arc<dyn Clock>,
) -> Result<T, RunError> {
    let place = match timeout {
        None => ticket.place().await,
        Some(limit) => within(&*clock, limit, ticket.place())
            .await
            .ok_or(RunError::TimedOut(limit))?,
    };
    // Declared after the place and so dropped before it: what a task holds is free before the next one starts.
    let mut running = task;
    let mut timer = None;
    let outcome = poll_fn(|cx| {
        if let Poll::Ready(outcome) = running.poll(cx) {
            return Poll::Ready(outcome.map_err(RunError::Panicked));
        }
        let Some(timeout) = timeout else {
            return Poll::Pending;
        };
        let timer = timer.get_or_insert_with(|| clock.sleep(timeout));
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(RunError::TimedOut(timeout)))
    })
    .await;
    drop(running);
    place.finish(match &outcome {
        Ok(_) => TaskEnd::Completed,
        Err(RunError::Panicked(_)) => TaskEnd::Panicked,
        Err(RunError::TimedOut(_)) => TaskEnd::TimedOut,
        Err(RunError::Rejected(_) | RunError::Stopping | RunError::ThreadStopped) => {
            TaskEnd::Cancelled
        }
    });
    outcome
}
