//! The children of one supervisor in start order, found by id, by key and by exit in constant or logarithmic time.
//!
//! The table is shared: the supervisor alone changes it, and anybody may look at it, also while the supervisor is busy.
//! The lock is held for no longer than that takes, and never while code of a user runs or is dropped.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    child::{Child, Life, trees},
    messages::{ChildCounts, SupervisionTree},
};
use crate::{child_spec::Blueprint, control::Signal, exit::ExitReason, view::View};

/// All children. A key is given out once and grows with every child, so key order is start order.
#[derive(Clone, Default)]
pub(crate) struct Children(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    by_key: BTreeMap<u64, Child>,
    by_id: HashMap<Arc<str>, u64>,
    next_key: u64,
    /// How many significant children run or are being restarted.
    significant: usize,
}

impl Children {
    pub(super) fn add(&self, blueprint: Blueprint) -> u64 {
        let mut table = self.0.lock();
        let key = table.next_key;
        table.next_key += 1;
        table.by_id.insert(Arc::clone(blueprint.id()), key);
        table.by_key.insert(key, Child::new(blueprint));
        key
    }

    pub(super) fn remove(&self, key: u64) {
        let _dropped_unlocked = {
            let mut table = self.0.lock();
            let removed = table.by_key.remove(&key);
            if let Some(child) = &removed {
                table.by_id.remove(child.blueprint.id());
                table.significant -= usize::from(child.is_significant_and_not_stopped());
            }
            removed
        };
    }

    pub(super) fn key_of(&self, id: &str) -> Option<u64> {
        self.0.lock().by_id.get(id).copied()
    }

    pub(super) fn get(&self, key: u64) -> Option<Child> {
        self.0.lock().by_key.get(&key).cloned()
    }

    pub(super) fn find(&self, id: &str) -> Option<(u64, Child)> {
        let table = self.0.lock();
        let key = table.by_id.get(id)?;
        Some((*key, table.by_key.get(key)?.clone()))
    }

    pub(super) fn set_life(&self, key: u64, life: Life) {
        let mut table = self.0.lock();
        let table = &mut *table;
        if let Some(child) = table.by_key.get_mut(&key) {
            table.significant -= usize::from(child.is_significant_and_not_stopped());
            child.life = life;
            table.significant += usize::from(child.is_significant_and_not_stopped());
        }
    }

    /// The start of a child is complete.
    pub(super) fn set_started(&self, key: u64) {
        if let Some(child) = self.0.lock().by_key.get_mut(&key) {
            child.set_started();
        }
    }

    /// A child is to be restarted, for this reason; the pause before that, where there is one.
    pub(super) fn restarts(&self, key: u64, reason: ExitReason) -> Option<Duration> {
        let mut table = self.0.lock();
        let table = &mut *table;
        let child = table.by_key.get_mut(&key)?;
        table.significant -= usize::from(child.is_significant_and_not_stopped());
        let pause = child.restarts(reason);
        table.significant += usize::from(child.is_significant_and_not_stopped());
        pause
    }

    /// For a child that is not started again; see [`Blueprint::take_factory`].
    pub(super) fn forget_factory(&self, key: u64) {
        let _dropped_unlocked = {
            let mut table = self.0.lock();
            let child = table.by_key.get_mut(&key);
            child.and_then(|child| child.blueprint.take_factory())
        };
    }

    pub(super) fn significant_left(&self) -> bool {
        self.0.lock().significant > 0
    }

    /// All children in start order, as they stand now.
    pub(super) fn snapshot(&self) -> Vec<Child> {
        self.0.lock().by_key.values().cloned().collect()
    }

    /// The keys of a range in start order.
    pub(super) fn keys(&self, range: (Bound<u64>, Bound<u64>)) -> Vec<u64> {
        let table = self.0.lock();
        table.by_key.range(range).map(|(key, _)| *key).collect()
    }

    /// Forgets all children and kills those that are alive: no orphans.
    pub(super) fn abandon(&self) {
        let table = mem::take(&mut *self.0.lock());
        for child in table.by_key.values().rev() {
            child.tell(Signal::Kill);
            child.blueprint.retire(&ExitReason::Killed);
        }
    }
}

impl View for Children {
    fn counts(&self) -> ChildCounts {
        ChildCounts::of(self.0.lock().by_key.values())
    }

    fn below(&self) -> (usize, Vec<SupervisionTree>) {
        let children = self.snapshot();
        (children.len(), trees(children.iter()))
    }
}
