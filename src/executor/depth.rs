//! How deep requests nest: a function may make requests of its own through `execute`, and those run on its stack.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
};

use crate::request_error::RequestError;

/// The most requests that run within each other on one stack. A level takes up to 30 KB in an unoptimized build, beside
/// what its function takes, and a thread has 2 MB by default.
const MAX_DEPTH: usize = 32;

thread_local! {
    /// How many requests are being polled on this thread, each within the one before.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Counts the request while it is polled.
pub(super) async fn counted<T>(request: impl Future<Output = T>) -> T {
    let mut request = pin!(request);
    poll_fn(|cx| within(|| request.as_mut().poll(cx))).await
}

/// Counts one poll of a request.
pub(super) fn within<T>(poll: impl FnOnce() -> T) -> T {
    let _level = Level::enter();
    poll()
}

/// Whether the request that is polled on this thread was made by a function that is under way.
pub(super) fn is_nested() -> bool {
    DEPTH.get() > 1
}

/// Refuses a request that begins too deep.
pub(super) fn check() -> Result<(), RequestError> {
    if DEPTH.get() > MAX_DEPTH {
        return Err(RequestError::TooDeep { most: MAX_DEPTH });
    }
    Ok(())
}

struct Level;

impl Level {
    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}
