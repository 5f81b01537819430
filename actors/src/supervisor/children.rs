//! The children of one supervisor in start order, found by id, by key and by exit in constant or logarithmic time.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use super::child::{Child, Life};
use crate::{child_spec::Blueprint, control::Signal};

/// All children. A key is given out once and grows with every child, so key order is start order.
#[derive(Default)]
pub(super) struct Children {
    by_key: BTreeMap<u64, Child>,
    by_id: HashMap<Arc<str>, u64>,
    next_key: u64,
    /// How many significant children run or are being restarted.
    significant: usize,
}

impl Children {
    pub(super) fn add(&mut self, blueprint: Blueprint) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        self.by_id.insert(Arc::clone(blueprint.id()), key);
        self.by_key.insert(key, Child::new(blueprint));
        key
    }

    pub(super) fn remove(&mut self, key: u64) {
        if let Some(child) = self.by_key.remove(&key) {
            self.by_id.remove(child.blueprint.id());
            self.significant -= usize::from(child.is_significant_and_not_stopped());
        }
    }

    pub(super) fn key_of(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    pub(super) fn get(&self, key: u64) -> Option<&Child> {
        self.by_key.get(&key)
    }

    pub(super) fn set_life(&mut self, key: u64, life: Life) {
        if let Some(child) = self.by_key.get_mut(&key) {
            self.significant -= usize::from(child.is_significant_and_not_stopped());
            child.life = life;
            self.significant += usize::from(child.is_significant_and_not_stopped());
        }
    }

    /// For a child that is not started again; see [`Blueprint::forget_factory`].
    pub(super) fn forget_factory(&mut self, key: u64) {
        if let Some(child) = self.by_key.get_mut(&key) {
            child.blueprint.forget_factory();
        }
    }

    pub(super) fn significant_left(&self) -> bool {
        self.significant > 0
    }

    pub(super) fn find(&self, id: &str) -> Option<(u64, &Child)> {
        let key = self.key_of(id)?;
        Some((key, self.by_key.get(&key)?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Child> {
        self.by_key.values()
    }

    /// The keys of a range in start order.
    pub(super) fn keys(&self, range: (Bound<u64>, Bound<u64>)) -> Vec<u64> {
        self.by_key.range(range).map(|(key, _)| *key).collect()
    }
}

impl Drop for Children {
    /// A supervisor that is killed, or dies of a panic, takes its children with it: no orphans.
    fn drop(&mut self) {
        for child in self.by_key.values().rev() {
            child.tell(Signal::Kill);
        }
    }
}
