//! The shared table of histories: many threads check at once, each request is decided in one piece.
//!
//! The histories are spread over shards, each behind a lock of its own. A request with several limits takes the locks of
//! all its shards, in one order for everybody, before it looks: so it is recorded by all its limits or by none, and no
//! other request sees a state in between.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
};

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::{
    rules::{Group, Refusal},
    window::SlidingWindow,
};

/// A power of two, well above the number of cores of most machines: two requests seldom want the same shard.
const SHARDS: usize = 64;

/// Values up to this many bytes are kept as they are; of longer ones, a fingerprint. What a client sends as an argument
/// may be as large as the payload, and would stay in memory for the whole window.
const LONGEST_KEPT: usize = 256;

/// Few requests meet more groups of limits than this; those that do cost an allocation.
type Few<T> = SmallVec<[T; 4]>;

/// All histories.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Shard]>,
    hasher: DefaultHashBuilder,
    fingerprints: [RandomState; 2],
}

/// On cache lines of its own, so that a lock taken in one shard does not slow its neighbours.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    histories: Mutex<HashTable<History>>,
}

#[derive(Debug)]
struct History {
    value: Box<str>,
    window: SlidingWindow,
    group: u32,
}

/// What a request meets: a group of limits, and its own value of the group's key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) group: &'a Group,
    pub(super) value: &'a str,
}

/// The key of a history.
#[derive(Debug)]
struct Key<'a> {
    group: u32,
    value: Cow<'a, str>,
    hash: u64,
}

/// What a sweep did.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    pub(super) removed: usize,
    /// How many histories each group has left.
    pub(super) remaining: BTreeMap<u32, usize>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            shards: std::iter::repeat_with(Shard::default)
                .take(SHARDS)
                .collect(),
            hasher: DefaultHashBuilder::default(),
            fingerprints: [RandomState::new(), RandomState::new()],
        }
    }

    /// Records a request at `now` with its only subject, or refuses it.
    pub(super) fn admit_one<'a>(&self, now: u64, subject: Subject<'a>) -> Result<(), Refusal<'a>> {
        let group = subject.group;
        let key = self.key(group.id, subject.value);
        let mut histories = self.shards[shard_of(key.hash)].histories.lock();
        match key.find_mut(&mut histories) {
            Some(history) => {
                // As in `admit_all`: another thread may have read the clock later and recorded earlier.
                let now = now.max(history.window.newest());
                if let Some(refusal) = group.refusal(&history.window, now) {
                    return Err(refusal);
                }
                history.window.record(now, group.span, group.most);
            }
            None => self.insert(&mut histories, &key, now),
        }
        Ok(())
    }

    /// Records a request at `now` with all its subjects, or refuses it and records it with none.
    pub(super) fn admit_all<'a>(
        &self,
        now: u64,
        subjects: &[Subject<'a>],
    ) -> Result<(), Refusal<'a>> {
        let keys: Few<Key<'_>> = subjects
            .iter()
            .map(|subject| self.key(subject.group.id, subject.value))
            .collect();
        let mut shards: Few<usize> = keys.iter().map(|key| shard_of(key.hash)).collect();
        shards.sort_unstable();
        shards.dedup();
        let mut guards: Few<MutexGuard<'_, HashTable<History>>> = shards
            .iter()
            .map(|shard| self.shards[*shard].histories.lock())
            .collect();
        // Every shard asked for is among the locked ones.
        let place = |key: &Key<'_>| {
            let shard = shard_of(key.hash);
            shards
                .iter()
                .position(|locked| *locked == shard)
                .unwrap_or(0)
        };

        // Another thread may have read the clock later and recorded earlier. It is at least as late as that now: the
        // stamps of a history never go back.
        let found: Few<Option<&SlidingWindow>> = keys
            .iter()
            .map(|key| Some(&key.find(&guards[place(key)])?.window))
            .collect();
        let now = found
            .iter()
            .flatten()
            .map(|window| window.newest())
            .fold(now, u64::max);
        let mut refused: Option<Refusal<'a>> = None;
        for (subject, window) in subjects.iter().zip(&found) {
            let refusal = window.and_then(|window| subject.group.refusal(window, now));
            if let Some(refusal) = refusal {
                refused = Some(refusal.first_of(refused));
            }
        }
        if let Some(refusal) = refused {
            return Err(refusal);
        }
        drop(found);
        for (subject, key) in subjects.iter().zip(&keys) {
            let histories = &mut guards[place(key)];
            let group = subject.group;
            match key.find_mut(histories) {
                Some(history) => history.window.record(now, group.span, group.most),
                None => self.insert(histories, key, now),
            }
        }
        Ok(())
    }

    fn insert(&self, histories: &mut HashTable<History>, key: &Key<'_>, now: u64) {
        let history = History {
            value: Box::from(key.value.as_ref()),
            window: SlidingWindow::starting_at(now),
            group: key.group,
        };
        histories.insert_unique(key.hash, history, |history| {
            self.hash(history.group, &history.value)
        });
    }

    /// How many requests each limit of the group counts at `now`.
    pub(super) fn counts(&self, now: u64, subject: Subject<'_>) -> Vec<u32> {
        let key = self.key(subject.group.id, subject.value);
        let histories = self.shards[shard_of(key.hash)].histories.lock();
        let history = key.find(&histories);
        let count = |span| history.map_or(0, |history| history.window.count(now, span));
        let limits = subject.group.limits.iter();
        limits.map(|limit| count(limit.span)).collect()
    }

    /// Forgets one history; whether there was one.
    pub(super) fn remove(&self, group: u32, value: &str) -> bool {
        let key = self.key(group, value);
        let mut histories = self.shards[shard_of(key.hash)].histories.lock();
        match histories.find_entry(key.hash, |history| key.is_of(history)) {
            Ok(found) => {
                found.remove();
                true
            }
            Err(_) => false,
        }
    }

    /// Forgets everything; how many histories there were.
    pub(super) fn clear(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| std::mem::take(&mut *shard.histories.lock()).len())
            .sum()
    }

    /// Forgets the histories that no longer matter: nothing in them is younger than the span of their group, or `spans`
    /// does not know their group. One shard after the other, so that checks go on meanwhile.
    pub(super) fn sweep(&self, now: u64, spans: &HashMap<u32, u64>) -> Sweep {
        let mut sweep = Sweep::default();
        for shard in &self.shards {
            let mut histories = shard.histories.lock();
            histories.retain(|history| match spans.get(&history.group) {
                Some(span) if !history.window.is_idle(now, *span) => {
                    history.window.compact(now, *span);
                    *sweep.remaining.entry(history.group).or_default() += 1;
                    true
                }
                _ => {
                    sweep.removed += 1;
                    false
                }
            });
            if histories.len() < histories.capacity() / 4 {
                let room = histories.len() * 2;
                histories.shrink_to(room, |history| self.hash(history.group, &history.value));
            }
        }
        sweep
    }

    /// How many histories there are.
    pub(super) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.histories.lock().len())
            .sum()
    }

    #[inline]
    fn key<'a>(&self, group: u32, value: &'a str) -> Key<'a> {
        let value = if value.len() <= LONGEST_KEPT {
            Cow::Borrowed(value)
        } else {
            Cow::Owned(self.fingerprint(value))
        };
        Key {
            group,
            hash: self.hash(group, &value),
            value,
        }
    }

    /// Stands for a long value. The secret keys make it 128 bits that nobody outside can aim at.
    #[cold]
    fn fingerprint(&self, value: &str) -> String {
        let [first, second] = &self.fingerprints;
        let (first, second) = (first.hash_one(value), second.hash_one(value));
        format!("{first:016x}{second:016x}")
    }

    fn hash(&self, group: u32, value: &str) -> u64 {
        self.hasher.hash_one((group, value))
    }
}

impl Key<'_> {
    fn is_of(&self, history: &History) -> bool {
        history.group == self.group && *history.value == *self.value
    }

    fn find<'t>(&self, histories: &'t HashTable<History>) -> Option<&'t History> {
        histories.find(self.hash, |history| self.is_of(history))
    }

    fn find_mut<'t>(&self, histories: &'t mut HashTable<History>) -> Option<&'t mut History> {
        histories.find_mut(self.hash, |history| self.is_of(history))
    }
}

/// The shard of a hash, from bits that the table inside a shard uses last: it looks at the lowest and the top seven.
fn shard_of(hash: u64) -> usize {
    (hash >> 48) as usize & (SHARDS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limiter::{LimitKey, RateLimit, RateLimitConfig, rules::Rules};

    /// With the table at its emptiest (seven of sixteen places taken, one byte of its own each) and 32 bytes for the
    /// text, a key with one stamp stays below the 160 bytes of the design.
    #[test]
    fn a_key_with_one_stamp_takes_48_bytes_beside_its_text() {
        assert_eq!(size_of::<History>(), 48);
        assert!((size_of::<History>() + 1) * 16 / 7 + 32 <= 160);
    }

    /// Two requests in a millisecond, by user and by room.
    fn rules() -> Rules {
        let mut config = RateLimitConfig::default();
        for key in ["user_id", "room"] {
            let limit = RateLimit::new(LimitKey::from(key), 2, 1);
            config.global_limits.push(limit);
        }
        Rules::new(config, None)
    }

    /// Two threads read the clock, and the later reader takes the lock first.
    #[test]
    fn a_request_that_read_the_clock_earlier_is_recorded_no_earlier_than_those_before_it() {
        let rules = rules();
        let [groups, _] = rules.groups_for("svc", "op");
        let subject = |group| Subject {
            group,
            value: "ann",
        };
        let both = [subject(&groups[0]), subject(&groups[1])];
        let span = groups[0].span;
        for several in [false, true] {
            let table = Table::new();
            let admit = |now| {
                if several {
                    table.admit_all(now, &both)
                } else {
                    table.admit_one(now, both[0])
                }
            };
            assert!(admit(10).is_ok());
            assert!(admit(5).is_ok());
            assert_eq!(table.sweep(span + 5, &rules.spans()).removed, 0);
            assert_eq!(table.counts(span + 9, both[0]), [2]);
            assert_eq!(admit(span + 9).unwrap_err().wait, 1);
            assert!(admit(span + 10).is_ok());
        }
    }

    #[test]
    fn the_shards_share_the_keys_evenly() {
        let table = Table::new();
        let mut counts = [0_u32; SHARDS];
        for key in 0..6_400 {
            counts[shard_of(table.hash(1, &key.to_string()))] += 1;
        }
        assert!(counts.iter().all(|count| (30..300).contains(count)));
    }
}
