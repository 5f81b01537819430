//! Stage 0: how many requests may be worked on at a time (SPEC section 3).

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::request_error::RequestError;

/// Counts the requests that are being worked on.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    now: AtomicUsize,
}

/// One request's place; free again when dropped.
pub(super) struct Place<'a>(&'a InFlight);

impl InFlight {
    /// How many are being worked on.
    pub(super) fn count(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Refuses at once where `max` are in flight already; `None` for no limit.
    pub(super) fn enter(&self, max: Option<usize>) -> Result<Place<'_>, RequestError> {
        let place = Place(self);
        let before = self.now.fetch_add(1, Ordering::Relaxed);
        match max {
            Some(max) if before >= max => {
                Err(RequestError::Busy(format!("{max} requests are in flight")))
            }
            _ => Ok(place),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}
