//! The shared table of histories: many threads check at once, each request is decided in one piece.
//!
//! The histories are spread over shards, each behind a lock of its own. A request with several limits takes the locks of
//! all its shards, in one order for everybody, before it looks: so it is recorded by all its limits or by none, and no
//! other request sees a state in between.

use std::collections::{BTreeMap, HashMap};

use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::{
    key::{Key, Keys, StoredKey},
    rules::{Group, Refusal},
    window::SlidingWindow,
};

/// A power of two, well above the number of cores of most machines: two requests seldom want the same shard.
const SHARDS: usize = 64;

/// Few requests meet more groups of limits than this; those that do cost an allocation.
pub(super) type Few<T> = SmallVec<[T; 4]>;

/// All histories.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Shard]>,
    keys: Keys,
}

/// On cache lines of its own, so that a lock taken in one shard does not slow its neighbours.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    histories: Mutex<HashTable<History>>,
}

#[derive(Debug)]
struct History {
    key: StoredKey,
    window: SlidingWindow,
}

/// What a request meets: a group of limits, and its own value of the group's key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'rules, 'value> {
    pub(super) group: &'rules Group,
    pub(super) value: &'value str,
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
            keys: Keys::default(),
        }
    }

    /// Records a request at `now` with its only subject, or refuses it.
    pub(super) fn admit_one<'rules>(
        &self,
        now: u64,
        subject: Subject<'rules, '_>,
    ) -> Result<(), Refusal<'rules>> {
        let group = subject.group;
        let key = self.keys.key(group.id, subject.value);
        let mut histories = self.shards[shard_of(key.hash)].histories.lock();
        match find_mut(&mut histories, &key) {
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
    pub(super) fn admit_all<'rules>(
        &self,
        now: u64,
        subjects: &[Subject<'rules, '_>],
    ) -> Result<(), Refusal<'rules>> {
        let keys: Few<Key<'_>> = subjects
            .iter()
            .map(|subject| self.keys.key(subject.group.id, subject.value))
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
            .map(|key| Some(&find(&guards[place(key)], key)?.window))
            .collect();
        let now = found
            .iter()
            .flatten()
            .map(|window| window.newest())
            .fold(now, u64::max);
        let mut refused: Option<Refusal<'rules>> = None;
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
            match find_mut(histories, key) {
                Some(history) => history.window.record(now, group.span, group.most),
                None => self.insert(histories, key, now),
            }
        }
        Ok(())
    }

    fn insert(&self, histories: &mut HashTable<History>, key: &Key<'_>, now: u64) {
        let history = History {
            key: key.to_stored(),
            window: SlidingWindow::starting_at(now),
        };
        histories.insert_unique(key.hash, history, |history| self.keys.hash_of(&history.key));
    }

    /// How many requests each limit of the group counts at `now`.
    pub(super) fn counts(&self, now: u64, subject: Subject<'_, '_>) -> Vec<u32> {
        let key = self.keys.key(subject.group.id, subject.value);
        let histories = self.shards[shard_of(key.hash)].histories.lock();
        let history = find(&histories, &key);
        let count = |span| history.map_or(0, |history| history.window.count(now, span));
        let limits = subject.group.limits.iter();
        limits.map(|limit| count(limit.span)).collect()
    }

    /// Forgets one history; whether there was one.
    pub(super) fn remove(&self, group: u32, value: &str) -> bool {
        let key = self.keys.key(group, value);
        let mut histories = self.shards[shard_of(key.hash)].histories.lock();
        match histories.find_entry(key.hash, |history| key.is(&history.key)) {
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
            histories.retain(|history| match spans.get(&history.key.group()) {
                Some(span) if !history.window.is_idle(now, *span) => {
                    history.window.compact(now, *span);
                    *sweep.remaining.entry(history.key.group()).or_default() += 1;
                    true
                }
                _ => {
                    sweep.removed += 1;
                    false
                }
            });
            if histories.len() < histories.capacity() / 4 {
                let room = histories.len() * 2;
                histories.shrink_to(room, |history| self.keys.hash_of(&history.key));
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
}

fn find<'t>(histories: &'t HashTable<History>, key: &Key<'_>) -> Option<&'t History> {
    histories.find(key.hash, |history| key.is(&history.key))
}

fn find_mut<'t>(histories: &'t mut HashTable<History>, key: &Key<'_>) -> Option<&'t mut History> {
    histories.find_mut(key.hash, |history| key.is(&history.key))
}

/// The shard of a hash, from bits that the table inside a shard uses last: it looks at the lowest and the top seven.
fn shard_of(hash: u64) -> usize {
    (hash >> 48) as usize & (SHARDS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limiter::{LimitKey, RateLimit, RateLimitConfig, rules::Rules};

    /// With the table at its emptiest (seven of sixteen places taken, one byte of its own each) and 32 bytes for a text
    /// that lies apart, a key with one stamp stays below the 160 bytes of the design.
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
            counts[shard_of(table.keys.key(1, &key.to_string()).hash)] += 1;
        }
        assert!(counts.iter().all(|count| (30..300).contains(count)));
    }
}
