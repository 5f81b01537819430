//! A call on this node: the function runs on the caller's thread, under its timeout, and its panic stays its own.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use gen_api::{
//!     call::local::{self, CallError},
//!     clock::{Clock, SystemClock},
//!     function::{Call, FunctionError, Functions, RequestInfo},
//! };
//!
//! async fn careless() -> Result<(), FunctionError> {
//!     panic!("kaboom");
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! # let runtime = tokio::runtime::Handle::current();
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(runtime.clone()));
//! let functions = Functions::new().register("Demo", "careless", careless);
//! let careless = functions.get("Demo", "careless").expect("a registered function");
//! let call = Call::new(vec![], RequestInfo::default(), runtime);
//! let outcome = local::call(&**careless, call, Some(Duration::from_secs(5)), &clock).await;
//! assert!(matches!(outcome, Err(CallError::Panicked(text)) if text == "kaboom"));
//! # });
//! # Ok::<_, std::io::Error>(())
//! ```

pub(crate) mod contained;

use std::{
    borrow::Borrow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::future::BoxFuture;
use futures_util::StreamExt;
use thiserror::Error;
use tokio::runtime::Handle;

use self::contained::{Contained, contain};
use crate::{
    clock::{Clock, Sleep},
    function::{Call, Function, FunctionError, FunctionErrorKind, Outcome, WaitsForThread},
};

/// Runs a call of `function` and waits for its outcome.
///
/// A panic is caught wherever the function's code runs: when its future is made, polled and dropped, and later when a
/// stream that it answers with is polled and dropped (an error item of the kind
/// [`Panicked`](FunctionErrorKind::Panicked) then ends the stream). A program built with `panic = "abort"` ends at the
/// first panic all the same.
///
/// On a thread without a tokio runtime the call's [`runtime`](Call::runtime) is entered around that code, so that
/// functions may use tokio's timers in any host.
///
/// The `timeout` runs from the first time that the function waits, so a call that never waits arms no timer; `None` is
/// no limit. When it has passed, the function's future is dropped. It does not bound a stream that the function answers
/// with.
///
/// # Errors
/// How the function failed; see [`CallError`].
pub async fn call(
    function: &dyn Function,
    call: Call,
    timeout: Option<Duration>,
    clock: &Arc<dyn Clock>,
) -> Result<Outcome, CallError> {
    let limit = timeout.map(|timeout| (timeout, &**clock));
    let runtime = call.runtime.clone();
    start(function, call, runtime, limit).await
}

/// Makes the future of a call, which is [polled](Running) by whoever waits for it; `runtime` is that of the call, and
/// `limit` its timeout and the clock that counts it.
pub(crate) fn start<'c, R: Borrow<Handle>>(
    function: &dyn Function,
    call: Call,
    runtime: R,
    limit: Option<(Duration, &'c dyn Clock)>,
) -> Running<'c, R> {
    let call = match contain(runtime.borrow(), || function.call(call)) {
        Ok(future) => Ok(Contained::new(future, runtime)),
        Err(panic) => Err(Some(panic)),
    };
    Running {
        call,
        limit,
        timer: None,
    }
}

/// A call under way.
///
/// A type of its own and no `async fn`: it lives as long as the call, once for each open stream, and so it keeps nothing
/// of what the call was made of.
pub(crate) struct Running<'c, R: Borrow<Handle>> {
    /// Or the text of the panic that kept it from being made, until it is told.
    call: Result<Contained<CallFuture, R>, Option<String>>,
    limit: Option<(Duration, &'c dyn Clock)>,
    /// Armed when the call waits for the first time.
    timer: Option<Sleep>,
}

type CallFuture = BoxFuture<'static, Result<Outcome, FunctionError>>;

impl<R: Borrow<Handle> + Unpin> Future for Running<'_, R> {
    type Output = Result<Outcome, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let call = match &mut this.call {
            Ok(call) => call,
            Err(panic) => {
                let panic = panic.take().unwrap_or_default();
                return Poll::Ready(Err(CallError::Panicked(panic)));
            }
        };
        let waiting = WaitsForThread::watch();
        let polled = call.poll(cx);
        let waits = waiting.end();
        if let Poll::Ready(outcome) = polled {
            return Poll::Ready(match outcome {
                Ok(Ok(Outcome::Stream(results))) => {
                    let results = Contained::new(results, call.runtime());
                    Ok(Outcome::Stream(results.boxed()))
                }
                Ok(outcome) => outcome.map_err(CallError::from),
                Err(panic) => Err(CallError::Panicked(panic)),
            });
        }
        let Some((timeout, clock)) = this.limit else {
            return Poll::Pending;
        };
        let timer = this.timer.get_or_insert_with(|| clock.sleep(timeout));
        timer.as_mut().poll(cx).map(|()| {
            Err(if waits {
                CallError::Busy(format!("no thread was free for {} ms", timeout.as_millis()))
            } else {
                CallError::TimedOut(timeout)
            })
        })
    }
}

/// How a call failed.
///
/// The texts are for logs, but for [`Public`](Self::Public) and [`InvalidArgument`](Self::InvalidArgument): what a client gets to read of the others is decided where
/// responses are written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The function answered with an error.
    #[error("{0}")]
    Failed(String),
    /// The function gave a negative answer that is meant for the client, and that no retry changes.
    #[error("{0}")]
    Public(String),
    /// The call does not fit the function, by a fault of its config; no retry changes that.
    #[error("{0}")]
    Arguments(String),
    /// The function cannot take an argument of the request. The text names it and is meant for the client; no retry changes
    /// that.
    #[error("{0}")]
    InvalidArgument(String),
    /// The function panicked, with this text.
    #[error("the function panicked: {0}")]
    Panicked(String),
    /// The function did not answer in time.
    #[error("the function timed out after {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The function was not begun, for no thread was free for it (setting `blocking_pool`).
    #[error("{0}")]
    Busy(String),
}

impl From<FunctionError> for CallError {
    fn from(error: FunctionError) -> Self {
        let kind = error.kind();
        let text = error.into_message();
        match kind {
            FunctionErrorKind::Failed => Self::Failed(text),
            FunctionErrorKind::Public => Self::Public(text),
            FunctionErrorKind::Arguments => Self::Arguments(text),
            FunctionErrorKind::InvalidArgument => Self::InvalidArgument(text),
            FunctionErrorKind::Panicked => Self::Panicked(text),
            FunctionErrorKind::Busy => Self::Busy(text),
        }
    }
}

#[cfg(test)]
mod tests;
