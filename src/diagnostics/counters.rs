//! Counters that requests on many threads count up, and a reader adds together.

use std::{
    array,
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use crate::telemetry::Outcome;

/// What is counted beside the outcomes of requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    /// A payload that is no request.
    Undecodable,
    /// A call made once more.
    Retry,
    /// A last retry that failed.
    RetriesExhausted,
    /// A stream that was opened.
    StreamOpened,
}

const OUTCOMES: usize = Outcome::ALL.len();
const COUNTS: usize = OUTCOMES + 4;

/// As many threads as this count without meeting one another.
const SHARDS: usize = 16;

/// The sums since the engine started. Counting is one relaxed addition, mostly to a cache line of the thread's own.
#[derive(Debug)]
pub(crate) struct Counters {
    shards: Box<[Shard; SHARDS]>,
}

/// Two cache lines, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard([AtomicU64; COUNTS]);

impl Counters {
    pub(crate) fn new() -> Self {
        let zeros = || Shard(array::from_fn(|_| AtomicU64::new(0)));
        Self {
            shards: Box::new(array::from_fn(|_| zeros())),
        }
    }

    /// A request has got its answer.
    pub(crate) fn request(&self, outcome: Outcome) {
        self.add(outcome as usize);
    }

    pub(crate) fn count(&self, count: Count) {
        self.add(OUTCOMES + count as usize);
    }

    pub(crate) fn requests(&self, outcome: Outcome) -> u64 {
        self.sum(outcome as usize)
    }

    pub(crate) fn total(&self, count: Count) -> u64 {
        self.sum(OUTCOMES + count as usize)
    }

    fn add(&self, index: usize) {
        let shard = &self.shards[own_shard()];
        if let Some(counter) = shard.0.get(index) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sum(&self, index: usize) -> u64 {
        let counters = self.shards.iter().filter_map(|shard| shard.0.get(index));
        counters
            .map(|counter| counter.load(Ordering::Relaxed))
            .sum()
    }
}

/// The shard of this thread; threads take them in turn.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        let own = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        OWN.set(Some(own));
        own
    })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_many_threads_count_is_added_together_and_kept_apart_by_kind() {
        const THREADS: u64 = 24;
        const TIMES: u64 = 1_000;
        let counters = Counters::new();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..TIMES {
                        counters.request(Outcome::Success);
                        counters.count(Count::StreamOpened);
                    }
                    counters.request(Outcome::Exception);
                });
            }
        });
        assert_eq!(counters.requests(Outcome::Success), THREADS * TIMES);
        assert_eq!(counters.requests(Outcome::Exception), THREADS);
        assert_eq!(counters.total(Count::StreamOpened), THREADS * TIMES);
        for untouched in [Count::Undecodable, Count::Retry, Count::RetriesExhausted] {
            assert_eq!(counters.total(untouched), 0);
        }
    }

    #[test]
    fn every_outcome_and_every_count_has_a_counter_of_its_own() {
        let counters = Counters::new();
        let counts = [
            Count::Undecodable,
            Count::Retry,
            Count::RetriesExhausted,
            Count::StreamOpened,
        ];
        for outcome in Outcome::ALL {
            counters.request(outcome);
        }
        for count in counts {
            counters.count(count);
        }
        assert!(
            Outcome::ALL
                .iter()
                .all(|outcome| counters.requests(*outcome) == 1)
        );
        assert!(counts.iter().all(|count| counters.total(*count) == 1));
    }
}
