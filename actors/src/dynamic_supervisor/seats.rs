//! How many children there may be: a shared count with a limit.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::error::StartDynamicError;

/// The places for children of either kind.
pub(super) struct Seats {
    max: usize,
    taken: AtomicUsize,
}

impl Seats {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            taken: AtomicUsize::new(0),
        }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Takes a seat until the guard is dropped.
    pub(super) fn take(self: &Arc<Self>) -> Result<Seat, StartDynamicError> {
        self.occupy()?;
        Ok(Seat(Arc::clone(self)))
    }

    /// Takes a seat without a guard; [`vacate`](Self::vacate) gives it back.
    pub(super) fn occupy(&self) -> Result<(), StartDynamicError> {
        let within = |taken| (taken < self.max).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, within)
            .map(drop)
            .map_err(|_| StartDynamicError::MaxChildren(self.max))
    }

    pub(super) fn vacate(&self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One seat.
pub(super) struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.vacate();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_its_guard_is_dropped() {
        let seats = Arc::new(Seats::new(1));
        let seat = seats.take().expect("one is free");
        assert_eq!(
            seats.take().map(drop),
            Err(StartDynamicError::MaxChildren(1))
        );
        drop(seat);
        assert!(seats.take().is_ok());
        assert_eq!(seats.taken(), 0);
    }
}
