//! The one place where panics of foreign code are caught: [`catch_panic`] for a call, [`CatchPanic`] for a future.
//!
//! What a panic carries is a value of somebody else's type, and dropping it may panic in turn. So whoever catches a panic
//! has two things to do, and here they are done once: keep its text, and get rid of the rest safely.
//!
//! `AssertUnwindSafe` is sound here because callers drop what panicked and never look at it again.

use std::{
    any::Any,
    fmt,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::exit::ExitReason;

/// Runs foreign code and catches its panic, whatever the panic carries.
///
/// Do not use again what the code had borrowed and left half-changed. The same as everywhere in this crate, it needs
/// `panic = "unwind"`.
///
/// ```
/// let panicked = actix_otp::catch_panic(|| panic!("no more tea")).unwrap_err();
/// assert_eq!(panicked.text(), "no more tea");
/// ```
///
/// # Errors
///
/// [`Panicked`], with the text of the panic.
pub fn catch_panic<R>(code: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(code)).map_err(Panicked::dispose)
}

/// A panic that was caught.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub struct Panicked(Arc<str>);

impl Panicked {
    /// The message of the panic, or a stand-in where somebody panicked with a value that is no text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    fn dispose(payload: Box<dyn Any + Send>) -> Self {
        let text = payload.downcast_ref::<&'static str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let panicked = Self(text.unwrap_or("a panic whose payload is no text").into());
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // A few bytes leak: dropping this one as well could go on for ever.
            mem::forget(second);
        }
        panicked
    }
}

impl From<Panicked> for ExitReason {
    fn from(Panicked(text): Panicked) -> Self {
        Self::Panicked(text)
    }
}

pin_project! {
    /// A future of foreign code whose panic, in whatever poll, is its output.
    ///
    /// The future is dropped as soon as it is done, so what it holds is free before its output is used. A panic while it is
    /// dropped changes no output; it is logged. Not to be polled again once it is done.
    ///
    /// ```
    /// # #[actix::main]
    /// # async fn main() {
    /// use actix_otp::CatchPanic;
    ///
    /// assert_eq!(CatchPanic::new(async { 42 }).await, Ok(42));
    /// let panicked = CatchPanic::new(async { panic!("no more tea") }).await;
    /// assert!(matches!(panicked, Err::<(), _>(panicked) if panicked.text() == "no more tea"));
    /// # }
    /// ```
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct CatchPanic<F> {
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for CatchPanic<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut future = this.project().future;
            drop_caught("a future", || future.set(None));
        }
    }
}

impl<F> CatchPanic<F> {
    /// Wraps a future.
    pub fn new(future: F) -> Self {
        Self {
            future: Some(future),
        }
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self.project().future;
        let Some(running) = future.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let output = match catch_panic(|| running.poll(cx)) {
            Ok(polled) => Ok(ready!(polled)),
            Err(panicked) => Err(panicked),
        };
        drop_caught("a future", || future.set(None));
        Poll::Ready(output)
    }
}

impl<F> fmt::Debug for CatchPanic<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatchPanic").finish_non_exhaustive()
    }
}

/// Drops something of somebody else's type; a panic in that is logged and goes no further.
pub(crate) fn drop_caught(what: &'static str, drop: impl FnOnce()) {
    if let Err(panic) = catch_panic(drop) {
        tracing::error!(panic = panic.text(), "{what} panicked while it was dropped");
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, panic::panic_any};

    use super::*;

    /// Panics when it is dropped, with another one of its kind as long as there are some left.
    struct Bomb(usize);

    impl Drop for Bomb {
        fn drop(&mut self) {
            match self.0.checked_sub(1) {
                Some(left) => panic_any(Bomb(left)),
                None => panic!("the last one"),
            }
        }
    }

    #[test]
    fn a_panic_carries_its_message_whatever_its_type() {
        let text = |code: fn()| catch_panic(code).unwrap_err().text().to_owned();
        assert_eq!(text(|| panic!("static")), "static");
        assert_eq!(text(|| panic_any(String::from("formatted"))), "formatted");
        assert_eq!(text(|| panic_any(7_u8)), "a panic whose payload is no text");
    }

    #[test]
    fn a_payload_that_panics_when_it_is_dropped_is_a_panic_like_any_other() {
        for left in [0, 1, 5] {
            let panicked = catch_panic(|| panic_any(Bomb(left))).unwrap_err();
            assert_eq!(panicked.text(), "a panic whose payload is no text");
        }
    }

    #[actix::test]
    async fn a_future_that_panics_when_it_is_dropped_still_has_its_output() {
        let bomb = Bomb(1);
        let mut future = pin_to_heap(poll_fn(move |_| {
            let _ = &bomb;
            Poll::Ready("done")
        }));
        assert_eq!(future.as_mut().await, Ok("done"));
        drop(future);
        drop(pin_to_heap(poll_fn({
            let bomb = Bomb(1);
            move |_| {
                let _ = &bomb;
                Poll::<()>::Pending
            }
        })));
    }

    fn pin_to_heap<F: Future>(future: F) -> Pin<Box<CatchPanic<F>>> {
        Box::pin(CatchPanic::new(future))
    }
}
