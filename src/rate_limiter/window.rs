//! The exact sliding window: one key's history of admitted requests, as plain data without a clock or a lock.
//!
//! A history knows no limit of its own. Every limit on the same kind of key asks the same history with its own maximum
//! and span, so ten a second and a hundred a minute need one list of stamps. A limit has room exactly when its
//! `max`-th newest stamp is at least `span` old (or does not exist), which is one look at one stamp.
//!
//! Stamps are nanoseconds of the clock. Whole milliseconds would be as large here, and rounding them would either let a
//! request pass too early or tell a client to wait longer than the window.

/// The admitted requests of one key, oldest first. There is always at least one.
#[derive(Debug)]
pub(super) struct SlidingWindow {
    stamps: Stamps,
}

/// Most keys of a busy gateway hold one stamp, which then needs no allocation.
#[derive(Debug)]
enum Stamps {
    One(u64),
    Many(Ring),
}

impl SlidingWindow {
    /// A history that begins with a request admitted at `now`.
    pub(super) fn starting_at(now: u64) -> Self {
        Self {
            stamps: Stamps::One(now),
        }
    }

    /// The stamp of the latest admitted request.
    #[inline]
    pub(super) fn newest(&self) -> u64 {
        match &self.stamps {
            Stamps::One(stamp) => *stamp,
            Stamps::Many(ring) => ring.get(ring.len.saturating_sub(1)),
        }
    }

    /// How long a request at `now` would have to wait until fewer than `max` requests lie within `span`; `None` when it
    /// may pass at once.
    #[inline]
    pub(super) fn wait(&self, now: u64, max: u32, span: u64) -> Option<u64> {
        // The request that has to grow old before the next one may pass.
        let blocking = match &self.stamps {
            Stamps::One(stamp) if max <= 1 => *stamp,
            Stamps::Many(ring) if ring.len >= max => ring.get(ring.len - max),
            _ => return None,
        };
        span.checked_sub(age(blocking, now))
            .filter(|remaining| *remaining > 0)
    }

    /// How many requests lie within the last `span`.
    pub(super) fn count(&self, now: u64, span: u64) -> u32 {
        match &self.stamps {
            Stamps::One(stamp) => u32::from(age(*stamp, now) < span),
            Stamps::Many(ring) => ring.len - ring.expired(now, span),
        }
    }

    /// Adds a request admitted at `now` and forgets what is at least `span` old, the longest span of any limit that
    /// looks at this history. `most` is the greatest maximum among them: room is never made for more.
    #[inline]
    pub(super) fn record(&mut self, now: u64, span: u64, most: u32) {
        match &mut self.stamps {
            Stamps::One(stamp) if age(*stamp, now) >= span => *stamp = now,
            Stamps::One(stamp) => self.stamps = Stamps::Many(Ring::of_two(*stamp, now)),
            Stamps::Many(ring) => {
                // Old stamps do no harm until their room is needed, and looking at them costs a cache miss.
                if ring.len == ring.capacity() {
                    ring.forget_first(ring.expired(now, span));
                }
                ring.push(now, most);
            }
        }
    }

    /// Whether no request lies within the last `span`.
    pub(super) fn is_idle(&self, now: u64, span: u64) -> bool {
        age(self.newest(), now) >= span
    }

    /// Forgets what is at least `span` old and gives back the memory of a burst that is over. At least the newest
    /// stamp stays.
    pub(super) fn compact(&mut self, now: u64, span: u64) {
        let newest = self.newest();
        if let Stamps::Many(ring) = &mut self.stamps {
            ring.forget_first(ring.expired(now, span));
            if ring.len <= 1 {
                self.stamps = Stamps::One(newest);
            } else if ring.len <= ring.capacity() / 4 {
                ring.resize(ring.len);
            }
        }
    }
}

fn age(stamp: u64, now: u64) -> u64 {
    now.saturating_sub(stamp)
}

/// A queue of stamps in one allocation, 24 bytes beside it (a `VecDeque` has 32 and may take twice the room asked for).
#[derive(Debug)]
struct Ring {
    slots: Box<[u64]>,
    head: u32,
    len: u32,
}

impl Ring {
    fn of_two(first: u64, second: u64) -> Self {
        Self {
            slots: Box::new([first, second]),
            head: 0,
            len: 2,
        }
    }

    fn capacity(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// The slot of the `index`-th oldest stamp; `index` is below the capacity.
    fn slot(&self, index: u32) -> usize {
        let slot = self.head as usize + index as usize;
        if slot < self.slots.len() {
            slot
        } else {
            slot - self.slots.len()
        }
    }

    fn get(&self, index: u32) -> u64 {
        self.slots[self.slot(index)]
    }

    /// How many stamps are at least `span` old. Often none or one is, else they are found by halving.
    fn expired(&self, now: u64, span: u64) -> u32 {
        let old = |index| index < self.len && age(self.get(index), now) >= span;
        if !old(0) {
            return 0;
        }
        if !old(1) {
            return 1;
        }
        let (mut low, mut high) = (2, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if old(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn forget_first(&mut self, count: u32) {
        self.head = u32::try_from(self.slot(count)).unwrap_or(0);
        self.len -= count;
    }

    fn push(&mut self, stamp: u64, most: u32) {
        if self.len == self.capacity() {
            let doubled = self.len.saturating_mul(2).min(most);
            self.resize(doubled.max(self.len.saturating_add(1)));
        }
        let slot = self.slot(self.len);
        self.slots[slot] = stamp;
        self.len += 1;
    }

    /// Moves the stamps into an allocation for `capacity` of them, which is at least their number.
    fn resize(&mut self, capacity: u32) {
        let mut slots = Vec::with_capacity(capacity as usize);
        slots.extend((0..self.len).map(|index| self.get(index)));
        slots.resize(capacity as usize, 0);
        self.slots = slots.into_boxed_slice();
        self.head = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl SlidingWindow {
        fn stamps(&self) -> usize {
            match &self.stamps {
                Stamps::One(_) => 1,
                Stamps::Many(ring) => ring.len as usize,
            }
        }

        fn slots(&self) -> usize {
            match &self.stamps {
                Stamps::One(_) => 0,
                Stamps::Many(ring) => ring.slots.len(),
            }
        }
    }

    /// A history under some limits, as the table keeps it.
    fn ask(
        history: &mut Option<SlidingWindow>,
        now: u64,
        limits: &[(u32, u64)],
    ) -> Result<(), u64> {
        let span = limits.iter().map(|limit| limit.1).max().unwrap();
        let most = limits.iter().map(|limit| limit.0).max().unwrap();
        match history {
            None => *history = Some(SlidingWindow::starting_at(now)),
            Some(window) => {
                for (max, span) in limits {
                    if let Some(wait) = window.wait(now, *max, *span) {
                        return Err(wait);
                    }
                }
                window.record(now, span, most);
            }
        }
        Ok(())
    }

    #[test]
    fn a_history_with_one_stamp_takes_24_bytes_and_no_allocation() {
        assert_eq!(size_of::<SlidingWindow>(), 24);
        assert_eq!(SlidingWindow::starting_at(7).slots(), 0);
    }

    #[test]
    fn a_stamp_leaves_the_window_exactly_when_it_is_one_span_old() {
        let window = SlidingWindow::starting_at(100);
        assert_eq!(window.wait(1_099, 1, 1_000), Some(1));
        assert_eq!(window.count(1_099, 1_000), 1);
        assert_eq!(window.wait(1_100, 1, 1_000), None);
        assert_eq!(window.count(1_100, 1_000), 0);
    }

    #[test]
    fn a_span_beyond_all_time_never_ends() {
        let window = SlidingWindow::starting_at(0);
        assert!(!window.is_idle(u64::MAX - 1, u64::MAX));
        assert_eq!(window.wait(u64::MAX - 1, 1, u64::MAX), Some(1));
    }

    #[test]
    fn a_compacted_history_answers_as_before_and_returns_the_memory_of_a_burst() {
        let mut window = SlidingWindow::starting_at(0);
        for now in 1..1_000 {
            window.record(now, 1_000, 1_000);
        }
        assert_eq!(window.slots(), 1_000);
        window.compact(1_900, 1_000);
        assert_eq!((window.stamps(), window.slots()), (99, 99));
        assert_eq!(window.count(1_900, 1_000), 99);
        assert_eq!(window.wait(1_900, 99, 1_000), Some(1));
        window.compact(1_998, 1_000);
        assert_eq!((window.stamps(), window.slots()), (1, 0));
        window.compact(5_000, 1_000);
        assert_eq!(window.newest(), 999);
    }

    fn limits() -> impl Strategy<Value = Vec<(u32, u64)>> {
        prop::collection::vec((1_u32..9, 1_u64..60), 1..4)
    }

    proptest! {
        /// The model keeps every admitted request for ever and counts them anew at each question.
        #[test]
        fn it_admits_what_a_naive_model_admits_and_nothing_more(
            limits in limits(),
            steps in prop::collection::vec((0_u64..40, any::<bool>()), 1..200),
        ) {
            let mut history: Option<SlidingWindow> = None;
            let mut admitted: Vec<u64> = Vec::new();
            let mut now = 0;
            let longest = limits.iter().map(|limit| limit.1).max().unwrap();
            let most = limits.iter().map(|limit| limit.0).max().unwrap() as usize;
            for (pause, sweep) in steps {
                now += pause;
                let within = |span: u64| admitted.iter().filter(|stamp| now - **stamp < span).count();
                let room = limits.iter().all(|(max, span)| within(*span) < *max as usize);
                if let Some(window) = &mut history {
                    if sweep {
                        window.compact(now, longest);
                    }
                    for (_, span) in &limits {
                        prop_assert_eq!(window.count(now, *span) as usize, within(*span));
                    }
                    prop_assert_eq!(window.is_idle(now, longest), within(longest) == 0);
                }
                let answer = ask(&mut history, now, &limits);
                prop_assert_eq!(answer.is_ok(), room);
                if room {
                    admitted.push(now);
                }
                if let Some(window) = &history {
                    prop_assert!(window.stamps() <= most);
                    prop_assert!(window.slots() <= most.max(2));
                }
            }
            for (max, span) in limits {
                for (position, first) in admitted.iter().enumerate() {
                    let inside = admitted[position..].iter().filter(|stamp| *stamp - first < span);
                    prop_assert!(inside.count() <= max as usize);
                }
            }
        }

        #[test]
        fn the_wait_it_names_is_the_shortest_that_helps(
            max in 1_u32..6,
            span in 2_u64..60,
            pauses in prop::collection::vec(0_u64..20, 1..60),
        ) {
            let mut history = None;
            let mut now = 0;
            for pause in pauses {
                now += pause;
                if let Err(wait) = ask(&mut history, now, &[(max, span)]) {
                    let window = history.as_ref().unwrap();
                    prop_assert!(wait <= span);
                    prop_assert_eq!(window.wait(now + wait, max, span), None);
                    prop_assert_eq!(window.wait(now + wait - 1, max, span), Some(1));
                }
            }
        }

        /// Limits may be changed at any moment: the history stays what it is.
        #[test]
        fn a_tightened_limit_counts_the_requests_admitted_before(
            before in 2_u32..20,
            after in 1_u32..20,
        ) {
            let mut history = None;
            for _ in 0..before {
                prop_assert!(ask(&mut history, 0, &[(before, 100)]).is_ok());
            }
            let window = history.as_ref().unwrap();
            prop_assert_eq!(window.count(50, 100), before);
            prop_assert_eq!(window.wait(50, after, 100).is_some(), after <= before);
        }
    }
}
