//! The children with a spec, found by key and by identity.
//!
//! As with the static [`Supervisor`](crate::Supervisor) the table is shared: the supervisor alone changes it, and anybody
//! may look at it.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    time::Duration,
};

use parking_lot::Mutex;

use super::seats::Seat;
use crate::{
    child_spec::{Blueprint, ChildSpecInfo},
    control::Signal,
    exit::ExitReason,
    supervisor::{Child, Life},
};

/// The children with a spec. A key is given out once and grows with every child, so key order is start order.
#[derive(Default)]
pub(crate) struct Named(Mutex<Table>);

#[derive(Default)]
struct Table {
    entries: BTreeMap<u64, Entry>,
    /// The key of a child by [`Blueprint::identity`].
    by_identity: HashMap<usize, u64>,
    next_key: u64,
}

struct Entry {
    child: Child,
    _seat: Seat,
}

impl Named {
    pub(super) fn add(&self, blueprint: Blueprint, seat: Seat) -> u64 {
        let mut table = self.0.lock();
        let key = table.next_key;
        table.next_key += 1;
        table.by_identity.insert(blueprint.identity(), key);
        let entry = Entry {
            child: Child::new(blueprint),
            _seat: seat,
        };
        table.entries.insert(key, entry);
        key
    }

    /// Forgets a child that is not started again.
    pub(super) fn remove(&self, key: u64) -> Option<Child> {
        let child = {
            let mut table = self.0.lock();
            let Entry { child, .. } = table.entries.remove(&key)?;
            table.by_identity.remove(&child.blueprint.identity());
            child
        };
        child.blueprint.retire(&ExitReason::Shutdown);
        Some(child)
    }

    pub(super) fn key_of(&self, identity: usize) -> Option<u64> {
        self.0.lock().by_identity.get(&identity).copied()
    }

    pub(super) fn get(&self, key: u64) -> Option<Child> {
        Some(self.0.lock().entries.get(&key)?.child.clone())
    }

    pub(super) fn spec_info(&self, identity: usize) -> Option<ChildSpecInfo> {
        let child = self.get(self.key_of(identity)?)?;
        Some(ChildSpecInfo::clone(&child.blueprint.info))
    }

    pub(super) fn set_life(&self, key: u64, life: Life) {
        if let Some(entry) = self.0.lock().entries.get_mut(&key) {
            entry.child.life = life;
        }
    }

    /// The start of a child is complete.
    pub(super) fn set_started(&self, key: u64) {
        if let Some(entry) = self.0.lock().entries.get_mut(&key) {
            entry.child.set_started();
        }
    }

    /// A child is to be restarted, for this reason; the pause before that, where there is one.
    pub(super) fn restarts(&self, key: u64, reason: ExitReason) -> Option<Duration> {
        let mut table = self.0.lock();
        table.entries.get_mut(&key)?.child.restarts(reason)
    }

    /// For a child that is not started again; see [`Blueprint::take_factory`].
    pub(super) fn forget_factory(&self, key: u64) {
        let _dropped_unlocked = {
            let mut table = self.0.lock();
            let entry = table.entries.get_mut(&key);
            entry.and_then(|entry| entry.child.blueprint.take_factory())
        };
    }

    /// All of them in start order, as they stand now.
    pub(super) fn snapshot(&self) -> Vec<Child> {
        let table = self.0.lock();
        let entries = table.entries.values();
        entries.map(|entry| entry.child.clone()).collect()
    }

    /// Forgets all of them and kills those that are alive: no orphans.
    pub(super) fn abandon(&self) {
        let table = mem::take(&mut *self.0.lock());
        for Entry { child, .. } in table.entries.values() {
            child.tell(Signal::Kill);
            child.blueprint.retire(&ExitReason::Killed);
        }
    }
}
