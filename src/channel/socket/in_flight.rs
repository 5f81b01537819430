//! What one connection has under way: events that wait or are served, and the memory of their frames.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the events of one connection. Only its socket adds to it, so a count that is read is never too low.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    events: AtomicUsize,
    bytes: AtomicUsize,
}

/// An event's share of what may be under way; dropping it gives that back.
#[derive(Debug)]
pub(in crate::channel) struct Permit {
    of: Arc<InFlight>,
    bytes: usize,
}

impl InFlight {
    /// The share of an event whose frame has so many bytes, unless that is more than may be. One alone may have any number.
    pub(super) fn admit(
        self: &Arc<Self>,
        bytes: usize,
        most_events: usize,
        most_bytes: usize,
    ) -> Option<Permit> {
        let events = self.events.load(Ordering::Relaxed);
        let together = self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        if events >= most_events || (events > 0 && together > most_bytes) {
            return None;
        }
        self.events.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Some(Permit {
            of: Arc::clone(self),
            bytes,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.of.events.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_admitted_up_to_their_number_and_their_bytes() {
        let in_flight = Arc::new(InFlight::default());
        let one = in_flight.admit(60, 2, 100).unwrap();
        assert!(in_flight.admit(41, 2, 100).is_none());
        let two = in_flight.admit(40, 2, 100).unwrap();
        assert!(in_flight.admit(0, 2, 100).is_none());
        drop(one);
        let _three = in_flight.admit(60, 2, 100).unwrap();
        drop(two);
        assert!(in_flight.admit(41, 2, 100).is_none());
    }

    #[test]
    fn an_event_that_is_alone_may_be_of_any_size() {
        let in_flight = Arc::new(InFlight::default());
        let alone = in_flight.admit(1_000, 2, 100).unwrap();
        assert!(in_flight.admit(1, 2, 100).is_none());
        drop(alone);
        assert!(in_flight.admit(1, 2, 100).is_some());
    }
}
