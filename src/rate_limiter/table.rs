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

/// The history that a request meets in one group of limits.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    group: &'a Group,
    key: Key<'a>,
}

/// The key of a history inside its group.
#[derive(Debug)]
struct Key<'a> {
    value: Cow<'a, str>,
    /// Of the group's number and the value.
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

    /// What a request with this value meets in `group`.
    pub(super) fn subject<'a>(&self, group: &'a Group, value: &'a str) -> Subject<'a> {
        Subject {
            group,
            key: self.key(group.id, value),
        }
    }

    /// Records a request at `now` with its only subject, or refuses it.
    pub(super) fn admit_one<'a>(&self, now: u64, subject: &Subject<'a>) -> Result<(), Refusal<'a>> {
        let mut histories = self.shard(subject.key.hash).lock();
        match subject.find_mut(&mut histories) {
            Some(history) => {
                let now = now.max(history.window.newest());
                if let Some(refusal) = subject.group.refusal(&history.window, now) {
                    return Err(refusal);
                }
                subject.record(&mut history.window, now);
            }
            None => self.insert(&mut histories, subject, now),
        }
        Ok(())
    }

    /// Records a request at `now` with all its subjects, or refuses it and records it with none.
    pub(super) fn admit_all<'a>(
        &self,
        now: u64,
        subjects: &[Subject<'a>],
    ) -> Result<(), Refusal<'a>> {
        let mut shards: Few<usize> = subjects
            .iter()
            .map(|subject| self.shard_index(subject.key.hash))
            .collect();
        shards.sort_unstable();
        shards.dedup();
        let mut guards: Few<MutexGuard<'_, HashTable<History>>> = shards
            .iter()
            .map(|index| self.shards[*index].histories.lock())
            .collect();
        // Every index searched for is among the locked ones.
        let position = |subject: &Subject<'_>| {
            let index = self.shard_index(subject.key.hash);
            shards.iter().position(|shard| *shard == index).unwrap_or(0)
        };

        // Another thread may have read the clock later and recorded earlier. It is at least as late as that now: the
        // stamps of a history never go back.
        let mut now = now;
        for subject in subjects {
            if let Some(history) = subject.find(&guards[position(subject)]) {
                now = now.max(history.window.newest());
            }
        }
        let mut refused: Option<Refusal<'a>> = None;
        for subject in subjects {
            let refusal = subject
                .find(&guards[position(subject)])
                .and_then(|history| subject.group.refusal(&history.window, now));
            if let Some(refusal) = refusal {
                refused = Some(refusal.first_of(refused));
            }
        }
        if let Some(refusal) = refused {
            return Err(refusal);
        }
        for subject in subjects {
            let histories = &mut guards[position(subject)];
            match subject.find_mut(histories) {
                Some(history) => subject.record(&mut history.window, now),
                None => self.insert(histories, subject, now),
            }
        }
        Ok(())
    }

    fn insert(&self, histories: &mut HashTable<History>, subject: &Subject<'_>, now: u64) {
        let history = History {
            value: Box::from(subject.key.value.as_ref()),
            window: SlidingWindow::starting_at(now),
            group: subject.group.id,
        };
        histories.insert_unique(subject.key.hash, history, |history| {
            self.hash(history.group, &history.value)
        });
    }

    /// How many requests of a value each limit of `group` counts at `now`.
    pub(super) fn counts(&self, now: u64, group: &Group, value: &str) -> Vec<u32> {
        let subject = self.subject(group, value);
        let histories = self.shard(subject.key.hash).lock();
        let history = subject.find(&histories);
        group
            .limits
            .iter()
            .map(|limit| history.map_or(0, |history| history.window.count(now, limit.span)))
            .collect()
    }

    /// Forgets one history; whether there was one.
    pub(super) fn remove(&self, group: u32, value: &str) -> bool {
        let key = self.key(group, value);
        let mut histories = self.shard(key.hash).lock();
        match histories.find_entry(key.hash, |history| key.is(group, history)) {
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

    fn key<'a>(&self, group: u32, value: &'a str) -> Key<'a> {
        let value = if value.len() <= LONGEST_KEPT {
            Cow::Borrowed(value)
        } else {
            Cow::Owned(self.fingerprint(value))
        };
        Key {
            hash: self.hash(group, &value),
            value,
        }
    }

    /// Stands for a long value. The secret keys make it 128 bits that nobody outside can aim at.
    fn fingerprint(&self, value: &str) -> String {
        let [first, second] = &self.fingerprints;
        let (first, second) = (first.hash_one(value), second.hash_one(value));
        format!("{first:016x}{second:016x}")
    }

    fn hash(&self, group: u32, value: &str) -> u64 {
        self.hasher.hash_one((group, value))
    }

    fn shard(&self, hash: u64) -> &Mutex<HashTable<History>> {
        &self.shards[self.shard_index(hash)].histories
    }

    /// From bits that the table inside a shard uses last: it looks at the lowest and the top seven.
    fn shard_index(&self, hash: u64) -> usize {
        (hash >> 48) as usize & (SHARDS - 1)
    }
}

impl Subject<'_> {
    fn find<'t>(&self, histories: &'t HashTable<History>) -> Option<&'t History> {
        histories.find(self.key.hash, |history| self.key.is(self.group.id, history))
    }

    fn find_mut<'t>(&self, histories: &'t mut HashTable<History>) -> Option<&'t mut History> {
        histories.find_mut(self.key.hash, |history| self.key.is(self.group.id, history))
    }

    fn record(&self, window: &mut SlidingWindow, now: u64) {
        window.record(now, self.group.span, self.group.most);
    }
}

impl Key<'_> {
    fn is(&self, group: u32, history: &History) -> bool {
        history.group == group && *history.value == *self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the table at its emptiest (seven of sixteen places taken, one byte of its own each) and 32 bytes for the
    /// text, a key with one stamp stays below the 160 bytes of the design.
    #[test]
    fn a_key_with_one_stamp_takes_48_bytes_beside_its_text() {
        assert_eq!(size_of::<History>(), 48);
        assert!((size_of::<History>() + 1) * 16 / 7 + 32 <= 160);
    }

    #[test]
    fn the_shards_share_the_keys_evenly() {
        let table = Table::new();
        let mut counts = [0_u32; SHARDS];
        for key in 0..6_400 {
            counts[table.shard_index(table.hash(1, &key.to_string()))] += 1;
        }
        assert!(counts.iter().all(|count| (30..300).contains(count)));
    }
}
