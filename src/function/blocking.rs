//! Work off the async threads.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_otp::{Panicked, catch_panic};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{error::FunctionError, outcome::Outcome};

/// A blocking function at work on a thread of its own.
///
/// When it is dropped early, work that has not begun never does; work that has begun cannot be stopped, and its answer
/// is thrown away.
pub(super) struct BlockingTask(JoinHandle<Result<Answer, Panicked>>);

type Answer = Result<Outcome, FunctionError>;

impl BlockingTask {
    pub(super) fn spawn(runtime: &Handle, work: impl FnOnce() -> Answer + Send + 'static) -> Self {
        // Caught there: an answer that nobody waits for is dropped on whatever thread is the last.
        Self(runtime.spawn_blocking(move || catch_panic(work)))
    }
}

impl Future for BlockingTask {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(match ended {
            Ok(Ok(answer)) => answer,
            Ok(Err(panicked)) => Err(FunctionError::panicked(panicked.text().to_owned())),
            Err(_cancelled) => Err(FunctionError::failed("its runtime has shut down")),
        })
    }
}

impl Drop for BlockingTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
