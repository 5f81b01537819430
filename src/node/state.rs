//! What is remembered of a config between two selections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwapOption, Guard};
use papaya::Equivalent;

use super::{list::NodeList, resolver::Judged};
use crate::model::Nodes;

/// Which config: its service, request type and effective version.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ConfigKey {
    pub(super) service: String,
    pub(super) request_type: String,
    pub(super) version: Option<String>,
}

/// A [`ConfigKey`] for lookups, which allocate nothing. Its hash is the same, since the fields are in the same order.
#[derive(Hash)]
pub(super) struct ConfigKeyRef<'a> {
    pub(super) service: &'a str,
    pub(super) request_type: &'a str,
    pub(super) version: Option<&'a str>,
}

impl ConfigKeyRef<'_> {
    pub(super) fn to_owned(&self) -> ConfigKey {
        ConfigKey {
            service: self.service.to_owned(),
            request_type: self.request_type.to_owned(),
            version: self.version.map(str::to_owned),
        }
    }
}

impl Equivalent<ConfigKey> for ConfigKeyRef<'_> {
    fn equivalent(&self, key: &ConfigKey) -> bool {
        self.service == key.service
            && self.request_type == key.request_type
            && self.version == key.version.as_deref()
    }
}

/// The counter of a config, and the nodes it had last.
#[derive(Debug, Default)]
pub(super) struct ConfigState {
    turns: AtomicU64,
    found: ArcSwapOption<Found>,
}

impl ConfigState {
    /// Takes the next turn among so many nodes, at least one.
    pub(super) fn turn(&self, nodes: usize) -> usize {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        (turn % nodes as u64) as usize
    }

    pub(super) fn reset_turns(&self) {
        self.turns.store(0, Ordering::Relaxed);
    }

    pub(super) fn found(&self) -> Guard<Option<Arc<Found>>> {
        self.found.load()
    }

    pub(super) fn keep(&self, found: Found) {
        self.found.store(Some(Arc::new(found)));
    }
}

/// The nodes that were found for a config.
#[derive(Debug)]
pub(super) struct Found {
    /// What the config said then.
    pub(super) of: Nodes,
    /// As the config or its resolver names them.
    pub(super) judged: Judged,
    /// With the nodes behind groups, where it names some; they are asked for at each selection.
    pub(super) expanded: Option<Judged>,
    pub(super) list: Arc<NodeList>,
    pub(super) at: Duration,
}

impl Found {
    /// Whether the config still says the same.
    pub(super) fn is_of(&self, nodes: &Nodes) -> bool {
        self.of == *nodes
    }

    pub(super) fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn a_borrowed_key_finds_its_owned_form() {
        let hash = RandomState::new();
        for version in [None, Some(""), Some("1.0.0")] {
            let key = ConfigKeyRef {
                service: "s",
                request_type: "t",
                version,
            };
            assert_eq!(hash.hash_one(&key), hash.hash_one(key.to_owned()));
            assert!(key.equivalent(&key.to_owned()));
        }
    }
}
