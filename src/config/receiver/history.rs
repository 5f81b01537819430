//! Which versions of a service were held before, to notice a push that goes back.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
};

use parking_lot::Mutex;
use semver::Version;

use crate::model::PushConfig;

/// How many versions of a service are remembered, the last ones.
const REMEMBERED: usize = 16;

/// The versions of each service that were replaced by others.
#[derive(Default)]
pub(super) struct History(Mutex<BTreeMap<String, VecDeque<String>>>);

impl History {
    /// Whether a version is older than the one that is held: by the precedence of semantic versions, and where one of them is
    /// none, because it was replaced before.
    pub(super) fn is_older(&self, service: &str, pushed: &str, held: &str) -> bool {
        if pushed == held {
            return false;
        }
        match (Version::parse(pushed), Version::parse(held)) {
            (Ok(pushed), Ok(held)) => pushed.cmp_precedence(&held) == Ordering::Less,
            _ => {
                let replaced = self.0.lock();
                let of_service = replaced.get(service);
                of_service.is_some_and(|replaced| replaced.iter().any(|one| one == pushed))
            }
        }
    }

    /// Notes that a push was stored in the place of the version that was held.
    pub(super) fn note(&self, config: &PushConfig, held: Option<&str>) {
        let Some(held) = held.filter(|held| *held != config.config_version) else {
            return;
        };
        let mut replaced = self.0.lock();
        let replaced = replaced.entry(config.service.clone()).or_default();
        replaced.retain(|one| one != held && *one != config.config_version);
        replaced.push_back(held.to_owned());
        if replaced.len() > REMEMBERED {
            replaced.pop_front();
        }
    }

    pub(super) fn forget(&self, service: &str) {
        self.0.lock().remove(service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Nodes;

    fn stored(history: &History, version: &str, held: Option<&str>) {
        history.note(&PushConfig::new("s", Nodes::Local, version, []), held);
    }

    #[test]
    fn semantic_versions_are_ordered_by_their_precedence() {
        let history = History::default();
        assert!(history.is_older("s", "9.0.0", "10.0.0"));
        assert!(history.is_older("s", "2.0.0-rc.1", "2.0.0"));
        assert!(!history.is_older("s", "10.0.0", "9.0.0"));
        assert!(!history.is_older("s", "1.0.0+b", "1.0.0+a"));
    }

    #[test]
    fn any_other_version_is_older_where_it_was_replaced_before() {
        let history = History::default();
        stored(&history, "b", Some("a"));
        assert!(history.is_older("s", "a", "b"));
        assert!(!history.is_older("s", "c", "b"));
        assert!(!history.is_older("other", "a", "b"));
        // Taken back to it, it is what is held.
        stored(&history, "a", Some("b"));
        assert!(!history.is_older("s", "a", "a"));
        assert!(history.is_older("s", "b", "a"));
        history.forget("s");
        assert!(!history.is_older("s", "b", "a"));
    }

    #[test]
    fn only_the_last_versions_are_remembered() {
        let history = History::default();
        for version in 0..100 {
            stored(
                &history,
                &format!("v{}", version + 1),
                Some(&format!("v{version}")),
            );
        }
        assert!(history.is_older("s", "v84", "v100"));
        assert!(!history.is_older("s", "v83", "v100"));
    }
}
