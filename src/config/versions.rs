//! All versions of one `(service, request_type)`, and which of them answers (specification, section 11): pure.

use std::sync::Arc;

use super::{Route, table::LookupError};
use crate::model::VersionRank;

/// The versions of one API, unversioned first, then in version order. Never changed: a writer replaces the whole set.
#[derive(Clone, Default)]
pub(super) struct Versions {
    routes: Vec<Arc<Route>>,
    /// Where this set is part of a step that readers may not see yet.
    part: Option<Box<Part>>,
}

/// One set's part in a step over several sets.
#[derive(Clone)]
struct Part {
    step: u64,
    /// What readers see until the step is taken.
    before: Arc<Versions>,
}

impl Versions {
    /// What a reader sees of this set when so many steps have been taken.
    pub(super) fn seen(&self, taken: impl FnOnce() -> u64) -> &Self {
        match &self.part {
            Some(part) if part.step > taken() => &part.before,
            _ => self,
        }
    }

    /// The same set as a part of a step, in the place of the set that readers see until the step is taken.
    pub(super) fn in_step(&self, step: u64, before: Arc<Self>) -> Self {
        Self {
            routes: self.routes.clone(),
            part: Some(Box::new(Part { step, before })),
        }
    }

    /// The one of exactly this version; `None` asks for the unversioned one.
    pub(super) fn exact(&self, version: Option<&str>) -> Result<&Arc<Route>, LookupError> {
        let found = self.routes.iter().find(|route| route.version() == version);
        found.ok_or(LookupError::NotFound).and_then(enabled)
    }

    /// The latest enabled version, else the unversioned one; a sole config that is disabled is reported as such.
    pub(super) fn fast(&self) -> Result<&Arc<Route>, LookupError> {
        // In this order the unversioned one is the last resort.
        match self.routes.iter().rev().find(|route| route.enabled) {
            Some(route) => Ok(route),
            None if self.routes.len() == 1 => Err(LookupError::Disabled),
            None => Err(LookupError::NotFound),
        }
    }

    /// The latest enabled version; the unversioned one does not count.
    pub(super) fn latest(&self) -> Result<&Arc<Route>, LookupError> {
        let versioned = self
            .routes
            .iter()
            .rev()
            .filter(|route| route.rank.is_some());
        versioned
            .into_iter()
            .find(|route| route.enabled)
            .ok_or(LookupError::NotFound)
    }

    pub(super) fn insert(&mut self, route: Arc<Route>) {
        match self.position(route.rank.as_ref()) {
            Ok(index) => self.routes[index] = route,
            Err(index) => self.routes.insert(index, route),
        }
    }

    /// As [`insert`](Self::insert), but what an operator switched off stays off.
    pub(super) fn refresh(&mut self, route: Arc<Route>) {
        let known = self.position(route.rank.as_ref());
        let known = known.ok().and_then(|index| self.routes.get(index));
        let route = match known {
            Some(known) if known.switched_off => Arc::new(route.switched(false)),
            _ => route,
        };
        self.insert(route);
    }

    pub(super) fn remove(&mut self, version: Option<&str>) {
        if let Ok(index) = self.position(version.map(VersionRank::new).as_ref()) {
            self.routes.remove(index);
        }
    }

    /// Removes all versions but those that are to be kept, and answers how many that were.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Route) -> bool) -> usize {
        let before = self.routes.len();
        self.routes.retain(|route| keep(route));
        before - self.routes.len()
    }

    /// False where there is no such version.
    pub(super) fn switch(&mut self, version: Option<&str>, enabled: bool) -> bool {
        let Ok(index) = self.position(version.map(VersionRank::new).as_ref()) else {
            return false;
        };
        self.routes[index] = Arc::new(self.routes[index].switched(enabled));
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }

    /// Whether this process has configured one of them itself.
    pub(super) fn has_local(&self) -> bool {
        self.routes.iter().any(|route| route.is_local)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.routes.len()
    }

    fn position(&self, rank: Option<&VersionRank>) -> Result<usize, usize> {
        self.routes
            .binary_search_by(|route| route.rank.as_ref().cmp(&rank))
    }
}

fn enabled(route: &Arc<Route>) -> Result<&Arc<Route>, LookupError> {
    if route.enabled {
        Ok(route)
    } else {
        Err(LookupError::Disabled)
    }
}
