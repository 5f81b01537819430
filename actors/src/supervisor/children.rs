//! The children of one supervisor in start order, found by id, by key and by exit in constant or logarithmic time.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use super::messages::{ChildCounts, ChildInfo, ChildState};
use crate::{
    child_spec::{Blueprint, ChildKind},
    control::{Control, Signal},
    exit::ExitReason,
};

/// One child and where it stands.
pub(super) struct Child {
    pub(super) blueprint: Blueprint,
    pub(super) life: Life,
}

pub(super) enum Life {
    Stopped,
    /// Its restart failed, for this reason, and will be tried again.
    Restarting(ExitReason),
    /// Launched, perhaps not yet acknowledged.
    Alive {
        control: Arc<Control>,
        incarnation: u64,
    },
}

impl Child {
    /// Runs, or is being restarted: a significant child that is not there for good.
    fn is_significant_and_not_stopped(&self) -> bool {
        self.blueprint.info.significant && !matches!(self.life, Life::Stopped)
    }

    /// Whether it runs at this moment: a child that ended may not have been heard of yet.
    fn is_active(&self) -> bool {
        matches!(&self.life, Life::Alive { control, .. } if control.exit_reason().is_none())
    }

    pub(super) fn is_alive_as(&self, of: u64) -> bool {
        matches!(self.life, Life::Alive { incarnation, .. } if incarnation == of)
    }

    pub(super) fn state(&self) -> ChildState {
        match self.life {
            Life::Stopped => ChildState::Stopped,
            Life::Restarting(_) => ChildState::Restarting,
            Life::Alive { incarnation, .. } => ChildState::Running { incarnation },
        }
    }
}

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
        self.by_key.insert(
            key,
            Child {
                blueprint,
                life: Life::Stopped,
            },
        );
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

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Child> {
        self.by_key.values()
    }

    /// The keys of a range in start order.
    pub(super) fn keys(&self, range: (Bound<u64>, Bound<u64>)) -> Vec<u64> {
        self.by_key.range(range).map(|(key, _)| *key).collect()
    }

    pub(super) fn infos(&self) -> Vec<ChildInfo> {
        self.iter()
            .map(|child| {
                let info = &child.blueprint.info;
                ChildInfo {
                    id: Arc::clone(&info.id),
                    state: child.state(),
                    kind: info.kind,
                    actor: info.actor,
                }
            })
            .collect()
    }

    pub(super) fn counts(&self) -> ChildCounts {
        let mut counts = ChildCounts {
            specs: self.by_key.len(),
            ..ChildCounts::default()
        };
        for child in self.iter() {
            counts.active += usize::from(child.is_active());
            match child.blueprint.info.kind {
                ChildKind::Supervisor => counts.supervisors += 1,
                ChildKind::Worker => counts.workers += 1,
            }
        }
        counts
    }
}

impl Drop for Children {
    /// A supervisor that is killed, or dies of a panic, takes its children with it: no orphans.
    fn drop(&mut self) {
        for child in self.by_key.values().rev() {
            if let Life::Alive { control, .. } = &child.life {
                control.send(Signal::Kill);
            }
        }
    }
}
