//! Foreign code kept in: its panics are caught, and it finds a tokio runtime on every thread.

use std::{
    borrow::Borrow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_otp::catch_panic;
use futures_core::{Stream, future::BoxFuture, stream::BoxStream};
use serde_json::Value;
use tokio::runtime::{EnterGuard, Handle};

use crate::function::FunctionError;

/// Runs foreign code. The error is the text of its panic.
pub(crate) fn contain<R>(runtime: &Handle, code: impl FnOnce() -> R) -> Result<R, String> {
    let _entered = with_runtime(runtime);
    caught(code)
}

/// Sees to it that this thread has a runtime, its own or this one.
fn with_runtime(runtime: &Handle) -> Option<EnterGuard<'_>> {
    Handle::try_current().is_err().then(|| runtime.enter())
}

/// What panicked is dropped and never looked at again.
fn caught<R>(code: impl FnOnce() -> R) -> Result<R, String> {
    catch_panic(code).map_err(|panicked| panicked.text().to_owned())
}

/// A future or stream of foreign code, contained in every poll and in its drop.
///
/// It is dropped as soon as it is done, so that what it holds is free before its answer is used. Whoever outlives it may lend
/// it the runtime.
pub(crate) struct Contained<T, R: Borrow<Handle> = Handle> {
    /// `None` once it is done, has panicked, or is being dropped.
    inner: Option<T>,
    runtime: R,
}

impl<T, R: Borrow<Handle>> Contained<T, R> {
    pub(crate) fn new(inner: T, runtime: R) -> Self {
        Self {
            inner: Some(inner),
            runtime,
        }
    }

    /// The runtime, for what this future answered with.
    pub(super) fn runtime(&self) -> Handle {
        self.runtime.borrow().clone()
    }
}

/// Drops what is left, on a thread that has a runtime.
fn finish<T>(inner: &mut Option<T>) {
    if let Some(inner) = inner.take()
        && let Err(panic) = caught(|| drop(inner))
    {
        tracing::warn!(panic, "a function panicked while it was dropped");
    }
}

impl<O, R: Borrow<Handle>> Contained<BoxFuture<'static, O>, R> {
    /// Polls the future; the error is the text of a panic. It must not be polled again after that.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<O, String>> {
        let Some(future) = &mut self.inner else {
            return Poll::Pending;
        };
        // Looked for once, for the poll and the drop.
        let _entered = with_runtime(self.runtime.borrow());
        let answer = match caught(|| future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answer)) => Ok(answer),
            Err(panic) => Err(panic),
        };
        finish(&mut self.inner);
        Poll::Ready(answer)
    }
}

impl Stream for Contained<BoxStream<'static, Result<Value, FunctionError>>> {
    type Item = Result<Value, FunctionError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(stream) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let _entered = with_runtime(&this.runtime);
        let item = match caught(|| stream.as_mut().poll_next(cx)) {
            Ok(polled) => ready!(polled),
            Err(panic) => {
                finish(&mut this.inner);
                return Poll::Ready(Some(Err(FunctionError::panicked(panic))));
            }
        };
        if item.is_none() {
            finish(&mut this.inner);
        }
        Poll::Ready(item)
    }
}

impl<T, R: Borrow<Handle>> Drop for Contained<T, R> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            let _entered = with_runtime(self.runtime.borrow());
            finish(&mut self.inner);
        }
    }
}
