//! Work off the async threads.

use std::{
    future::Future,
    panic,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{runtime::Handle, task::JoinHandle};

use super::{error::FunctionError, outcome::Outcome};

/// A blocking function at work on a thread of its own.
///
/// When it is dropped early, work that has not begun never does; work that has begun cannot be stopped, and its answer
/// is thrown away.
pub(super) struct BlockingTask(JoinHandle<Result<Outcome, FunctionError>>);

impl BlockingTask {
    pub(super) fn spawn(
        runtime: &Handle,
        work: impl FnOnce() -> Result<Outcome, FunctionError> + Send + 'static,
    ) -> Self {
        Self(runtime.spawn_blocking(work))
    }
}

impl Future for BlockingTask {
    type Output = Result<Outcome, FunctionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(ended.unwrap_or_else(|error| match error.try_into_panic() {
            // It was reported on its own thread; here it takes the way of every function's panic.
            Ok(payload) => panic::resume_unwind(payload),
            Err(_cancelled) => Err(FunctionError::failed("its runtime has shut down")),
        }))
    }
}

impl Drop for BlockingTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
