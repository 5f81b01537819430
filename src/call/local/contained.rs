//! Foreign code kept in: its panics are caught, and it finds a tokio runtime on every thread.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::{Stream, future::BoxFuture, stream::BoxStream};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::function::FunctionError;

/// Runs foreign code. The error is the text of its panic.
///
/// `AssertUnwindSafe` is sound in this module because what panicked is dropped and never looked at again.
pub(super) fn contain<R>(runtime: &Handle, code: impl FnOnce() -> R) -> Result<R, String> {
    let _entered = Handle::try_current().is_err().then(|| runtime.enter());
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        let text = panic_text(&*payload);
        discard(payload);
        text
    })
}

/// What a panic says: its message, which is a text unless somebody panicked with another value.
pub(super) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is no text").to_owned()
}

/// Drops what a panic carried, which may panic in turn.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Leaking a few bytes is all that is left: dropping this one could go on forever.
        mem::forget(second);
    }
}

/// A future or stream of foreign code, contained in every poll and in its drop.
///
/// It is dropped as soon as it is done, so that what it holds is free before its answer is used.
pub(crate) struct Contained<T> {
    /// `None` once it is done, has panicked, or is being dropped.
    inner: Option<T>,
    runtime: Handle,
}

impl<T> Contained<T> {
    pub(crate) fn new(inner: T, runtime: Handle) -> Self {
        Self {
            inner: Some(inner),
            runtime,
        }
    }

    /// The runtime, for what this future answered with.
    pub(super) fn into_runtime(self) -> Handle {
        self.runtime.clone()
    }

    fn finish(&mut self) {
        if let Some(inner) = self.inner.take()
            && let Err(panic) = contain(&self.runtime, || drop(inner))
        {
            tracing::warn!(panic, "a function panicked while it was dropped");
        }
    }
}

impl<R> Contained<BoxFuture<'static, R>> {
    /// Polls the future; the error is the text of a panic. It must not be polled again after that.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, String>> {
        let Some(future) = &mut self.inner else {
            return Poll::Pending;
        };
        let polled = contain(&self.runtime, || future.as_mut().poll(cx));
        let answer = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answer)) => Ok(answer),
            Err(panic) => Err(panic),
        };
        self.finish();
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
        let item = match contain(&this.runtime, || stream.as_mut().poll_next(cx)) {
            Ok(polled) => ready!(polled),
            Err(panic) => {
                this.finish();
                return Poll::Ready(Some(Err(FunctionError::panicked(panic))));
            }
        };
        if item.is_none() {
            this.finish();
        }
        Poll::Ready(item)
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        self.finish();
    }
}
