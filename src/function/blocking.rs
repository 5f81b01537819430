//! Work off the async threads.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_otp::{Panicked, catch_panic};
use futures_core::future::BoxFuture;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    error::{FunctionError, FunctionErrorKind},
    outcome::Outcome,
};
use crate::worker_pool::{Place, TaskEnd, Ticket, WorkerPool};

type Answer = Result<Outcome, FunctionError>;
type Work = Box<dyn FnOnce() -> Answer + Send>;

/// A blocking function on its way to a thread, and at work there.
///
/// When it is dropped early, work that has not begun never does; work that has begun cannot be stopped, and its answer
/// is thrown away. It holds its place in the pool until its thread is free, whoever still waits for it.
pub(super) enum BlockingTask {
    Waiting {
        place: BoxFuture<'static, Place>,
        runtime: Handle,
        work: Option<Work>,
    },
    Running(JoinHandle<Result<Answer, Panicked>>),
    /// Told once.
    Refused(Option<FunctionError>),
}

impl BlockingTask {
    /// Asks the pool at once; without one there is a thread for everybody.
    pub(super) fn new(
        runtime: Handle,
        pool: Option<WorkerPool>,
        work: impl FnOnce() -> Answer + Send + 'static,
    ) -> Self {
        let Some(pool) = pool else {
            return Self::run(&runtime, None, work);
        };
        match pool.admit().map(Ticket::try_place) {
            Ok(Ok(place)) => Self::run(&runtime, Some(place), work),
            Ok(Err(ticket)) => Self::Waiting {
                place: Box::pin(ticket.place()),
                runtime,
                work: Some(Box::new(work)),
            },
            Err(rejected) => Self::Refused(Some(FunctionError::busy(format!(
                "no thread for a blocking function: {rejected}"
            )))),
        }
    }

    fn run(
        runtime: &Handle,
        place: Option<Place>,
        work: impl FnOnce() -> Answer + Send + 'static,
    ) -> Self {
        Self::Running(runtime.spawn_blocking(move || {
            // Caught here: an answer that nobody waits for is dropped on whatever thread is the last.
            let answer = catch_panic(work);
            if let Some(place) = place {
                place.finish(end_of(&answer));
            }
            answer
        }))
    }
}

fn end_of(answer: &Result<Answer, Panicked>) -> TaskEnd {
    match answer {
        Ok(Ok(_)) => TaskEnd::Completed,
        Ok(Err(error)) if error.kind() == FunctionErrorKind::Panicked => TaskEnd::Panicked,
        Ok(Err(_)) => TaskEnd::Error,
        Err(_) => TaskEnd::Panicked,
    }
}

impl Future for BlockingTask {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Self::Waiting {
            place,
            runtime,
            work,
        } = &mut *self
        {
            let Poll::Ready(place) = place.as_mut().poll(cx) else {
                WAITS.set(true);
                return Poll::Pending;
            };
            if let Some(work) = work.take() {
                *self = Self::run(&runtime.clone(), Some(place), work);
            }
        }
        match &mut *self {
            Self::Running(task) => {
                let ended = ready!(Pin::new(task).poll(cx));
                Poll::Ready(match ended {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(panicked)) => Err(FunctionError::panicked(panicked.text().to_owned())),
                    Err(_cancelled) => Err(FunctionError::failed("its runtime has shut down")),
                })
            }
            Self::Refused(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            Self::Waiting { .. } => Poll::Pending,
        }
    }
}

impl Drop for BlockingTask {
    fn drop(&mut self) {
        if let Self::Running(task) = self {
            task.abort();
        }
    }
}

thread_local! {
    /// Whether the call that is polled on this thread waits for a place, and has not begun.
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

/// Learns from a poll of a call whether it waits for a thread: one whose time is up then was never begun, which is no
/// timeout of its function.
pub(crate) struct WaitsForThread {
    outer: bool,
}

impl WaitsForThread {
    /// Before the poll.
    pub(crate) fn watch() -> Self {
        Self {
            outer: WAITS.replace(false),
        }
    }

    /// After it.
    pub(crate) fn end(self) -> bool {
        WAITS.replace(self.outer)
    }
}
