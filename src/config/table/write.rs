//! The writing side of the table, one writer at a time.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use parking_lot::MutexGuard;

use super::{ConfigTable, SwitchError, key::ApiKey};
use crate::{
    config::{Route, versions::Versions},
    model::FunConfig,
};

/// Whether a request type and version is to be kept.
type Keep<'a> = dyn Fn(&str, Option<&str>) -> bool + 'a;

impl ConfigTable {
    /// Stores a config of this process that was [checked](Self::check), and returns what became of it.
    pub(in crate::config) fn store(&self, config: FunConfig) -> Arc<Route> {
        let key = ApiKey::of(&config);
        let route = Arc::new(self.ready(config).local());
        self.write(key, |versions| versions.insert(Arc::clone(&route)));
        route
    }

    /// Stores [checked](Self::check) configs of this process in one step.
    pub(in crate::config) fn store_all(&self, configs: Vec<FunConfig>) {
        let mut changes: HashMap<ApiKey, Vec<Arc<Route>>> = HashMap::new();
        for config in configs {
            let key = ApiKey::of(&config);
            let route = self.ready(config);
            changes
                .entry(key)
                .or_default()
                .push(Arc::new(route.local()));
        }
        let turn = self.writing.lock();
        let changes = changes.into_iter().map(|(key, routes)| {
            let mut versions = self.versions(&key);
            for route in routes {
                versions.insert(route);
            }
            (key, versions)
        });
        self.take_step(changes.collect(), &turn);
    }

    /// Stores [checked](Self::check_foreign) configs that a pull or push brought, in one step: what an operator switched off
    /// stays off until somebody switches it on, and what this process configured itself stays as it is (specification, section 11).
    ///
    /// Where it is said what to `keep` of the service, everything else of it is removed in the same step. Answers how many
    /// that were.
    pub(in crate::config) fn refresh(
        &self,
        service: &str,
        configs: Vec<FunConfig>,
        keep: Option<&Keep<'_>>,
    ) -> usize {
        let mut routes: HashMap<ApiKey, Vec<Arc<Route>>> = HashMap::new();
        for config in configs {
            let key = ApiKey::of(&config);
            let route = self.ready(config);
            routes.entry(key).or_default().push(Arc::new(route));
        }
        let turn = self.writing.lock();
        if keep.is_some() {
            let apis = self.apis.pin();
            for key in apis.keys().filter(|key| *key.service == *service) {
                routes.entry(key.clone()).or_default();
            }
        }
        let mut removed = 0;
        let keeps_local = !self.foreign.may_replace_local;
        let changes = routes.into_iter().map(|(key, routes)| {
            let mut versions = self.versions(&key);
            // They were checked before this turn, and a local one may have come meanwhile.
            if !(keeps_local && versions.has_local()) {
                for route in routes {
                    versions.refresh(route);
                }
            }
            if let Some(keep) = keep {
                removed += versions.retain(|route| {
                    (keeps_local && route.is_local) || keep(&key.request_type, route.version())
                });
            }
            (key, versions)
        });
        let changes = changes.collect();
        self.take_step(changes, &turn);
        removed
    }

    pub(in crate::config) fn delete(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) {
        self.write_existing(service, request_type, |versions| versions.remove(version));
    }

    pub(in crate::config) fn switch(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
        enabled: bool,
    ) -> Result<(), SwitchError> {
        let mut found = false;
        self.write_existing(service, request_type, |versions| {
            found = versions.switch(version, enabled);
        });
        if found {
            Ok(())
        } else {
            Err(SwitchError::NotFound)
        }
    }

    pub(in crate::config) fn clear(&self) {
        let _turn = self.writing.lock();
        self.apis.pin().clear();
    }

    fn write_existing(
        &self,
        service: &str,
        request_type: &str,
        change: impl FnOnce(&mut Versions),
    ) {
        let key = ApiKey {
            service: service.into(),
            request_type: request_type.into(),
        };
        if self.apis.pin().contains_key(&key) {
            self.write(key, change);
        }
    }

    fn write(&self, key: ApiKey, change: impl FnOnce(&mut Versions)) {
        let turn = self.writing.lock();
        let mut versions = self.versions(&key);
        change(&mut versions);
        self.put(key, versions, &turn);
    }

    fn ready(&self, config: FunConfig) -> Route {
        (self.notice)(&config);
        Route::compile(config, &self.functions, &self.limits)
    }

    /// A copy of the set of an API, for whoever has the turn to write.
    fn versions(&self, key: &ApiKey) -> Versions {
        let apis = self.apis.pin();
        apis.get(key)
            .map_or_else(Versions::default, |now| (**now).clone())
    }

    fn put(&self, key: ApiKey, versions: Versions, _turn: &MutexGuard<'_, ()>) {
        let apis = self.apis.pin();
        if versions.is_empty() {
            apis.remove(&key);
        } else {
            apis.insert(key, Arc::new(versions));
        }
    }

    /// Replaces the sets of several APIs, and shows them all at once.
    fn take_step(&self, mut sets: Vec<(ApiKey, Versions)>, turn: &MutexGuard<'_, ()>) {
        if sets.len() > 1 {
            let step = self.steps.load(Ordering::Relaxed) + 1;
            let apis = self.apis.pin();
            for (key, versions) in &sets {
                let before = apis.get(key).map(Arc::clone).unwrap_or_default();
                apis.insert(key.clone(), Arc::new(versions.in_step(step, before)));
            }
            // Whoever sees this number sees all sets above.
            self.steps.store(step, Ordering::Release);
        }
        for (key, versions) in sets.drain(..) {
            self.put(key, versions, turn);
        }
    }
}
