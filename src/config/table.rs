//! The table of configs that requests read and the `ConfigDb` actor writes: lookups take no lock and allocate nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
    sync::Arc,
};

use papaya::Equivalent;
use parking_lot::Mutex;

use super::{Allowlist, Route, versions::Versions};
use crate::{
    arguments::Limits,
    function::Functions,
    model::{FunConfig, InvalidConfig, Mfa, version},
};

/// Why a lookup found nothing that may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// There is no such config.
    #[error("no such function is configured")]
    NotFound,
    /// It is there, but switched off.
    #[error("the function is disabled")]
    Disabled,
}

/// Why a config was not stored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// The config has faults; all of them are listed.
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    /// The allowlist does not name its function (SPEC section 18).
    #[error("the function {0} is not on the allowlist")]
    NotAllowed(Mfa),
    /// The database could not be asked.
    #[error(transparent)]
    Unavailable(#[from] crate::owner::Unavailable),
}

/// Why a config was not switched on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// There is no such config.
    #[error("no such function is configured")]
    NotFound,
    /// The database could not be asked.
    #[error(transparent)]
    Unavailable(#[from] crate::owner::Unavailable),
}

/// The versions of every request type of every service; `None` stands for the unversioned config.
pub type FunctionList = BTreeMap<String, BTreeMap<String, Vec<Option<String>>>>;

/// All configs. It outlives the actor that writes to it.
pub(crate) struct ConfigTable {
    apis: papaya::HashMap<ApiKey, Arc<Versions>>,
    /// Writers take turns, so that none overwrites what another has just added.
    writing: Mutex<()>,
    functions: Arc<Functions>,
    allowlist: Allowlist,
    limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ApiKey {
    service: Box<str>,
    request_type: Box<str>,
}

impl ApiKey {
    fn of(config: &FunConfig) -> Self {
        Self {
            service: config.service.as_str().into(),
            request_type: config.request_type.as_str().into(),
        }
    }
}

/// A borrowed [`ApiKey`], so that a lookup allocates nothing.
struct ApiKeyRef<'a> {
    service: &'a str,
    request_type: &'a str,
}

impl Hash for ApiKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ApiKeyRef {
            service: &self.service,
            request_type: &self.request_type,
        }
        .hash(state);
    }
}

impl Hash for ApiKeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.service.hash(state);
        self.request_type.hash(state);
    }
}

impl Equivalent<ApiKey> for ApiKeyRef<'_> {
    fn equivalent(&self, key: &ApiKey) -> bool {
        *self.service == *key.service && *self.request_type == *key.request_type
    }
}

impl ConfigTable {
    pub(crate) fn new(functions: Arc<Functions>, allowlist: Allowlist, limits: Limits) -> Self {
        Self {
            apis: papaya::HashMap::new(),
            writing: Mutex::new(()),
            functions,
            allowlist,
            limits,
        }
    }

    /// The config that answers a request for this version, which may be absent (SPEC section 11).
    pub(crate) fn asked(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> Result<Arc<Route>, LookupError> {
        match version::effective(version) {
            Some(version) => self.exact(service, request_type, Some(version)),
            None => self.fast(service, request_type),
        }
    }

    pub(crate) fn exact(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> Result<Arc<Route>, LookupError> {
        self.read(service, request_type, |versions| {
            versions.exact(version).cloned()
        })
    }

    pub(crate) fn fast(
        &self,
        service: &str,
        request_type: &str,
    ) -> Result<Arc<Route>, LookupError> {
        self.read(service, request_type, |versions| versions.fast().cloned())
    }

    pub(crate) fn latest(
        &self,
        service: &str,
        request_type: &str,
    ) -> Result<Arc<Route>, LookupError> {
        self.read(service, request_type, |versions| versions.latest().cloned())
    }

    fn read<R>(
        &self,
        service: &str,
        request_type: &str,
        pick: impl FnOnce(&Versions) -> Result<R, LookupError>,
    ) -> Result<R, LookupError> {
        let apis = self.apis.pin();
        let versions = apis.get(&ApiKeyRef {
            service,
            request_type,
        });
        versions
            .ok_or(LookupError::NotFound)
            .and_then(|versions| pick(versions))
    }

    /// The limits that defaults of arguments are held to.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Everything that must hold before a config is stored. That its function is allowed comes first: no fault of the
    /// config hides a refusal.
    pub(super) fn check(&self, config: &FunConfig) -> Result<(), AddError> {
        if !self.allowlist.allows(&config.mfa) {
            return Err(AddError::NotAllowed(config.mfa.clone()));
        }
        Ok(config.validate(&self.limits)?)
    }

    /// Makes a config ready for one request, without storing it: what a before hook may ask for.
    pub(crate) fn compile(&self, config: FunConfig) -> Result<Route, AddError> {
        self.check(&config)?;
        Ok(Route::compile(config, &self.functions, &self.limits))
    }

    /// Stores a config that was [checked](Self::check), and returns what became of it.
    pub(super) fn store(&self, config: FunConfig) -> Arc<Route> {
        let key = ApiKey::of(&config);
        let route = Arc::new(Route::compile(config, &self.functions, &self.limits));
        self.write(key, |versions| versions.insert(Arc::clone(&route)));
        route
    }

    /// Stores a [checked](Self::check) config that a pull or push brought: what an operator switched off stays off until
    /// somebody switches it on (SPEC section 11).
    pub(super) fn store_refreshed(&self, config: FunConfig) {
        let key = ApiKey::of(&config);
        let route = Route::compile(config, &self.functions, &self.limits);
        self.write(key, |versions| versions.refresh(route));
    }

    /// Removes every function of the service but those that are to be kept, and answers how many that were.
    pub(super) fn retain(
        &self,
        service: &str,
        mut keep: impl FnMut(&str, Option<&str>) -> bool,
    ) -> usize {
        let functions = self.functions(&[service]);
        let listed = functions.get(service).into_iter().flatten();
        let listed = listed.flat_map(|(request_type, versions)| {
            versions.iter().map(move |version| (request_type, version))
        });
        let mut removed = 0;
        for (request_type, version) in listed {
            if !keep(request_type, version.as_deref()) {
                self.delete(service, request_type, version.as_deref());
                removed += 1;
            }
        }
        removed
    }

    pub(super) fn delete(&self, service: &str, request_type: &str, version: Option<&str>) {
        self.write_existing(service, request_type, |versions| versions.remove(version));
    }

    pub(super) fn switch(
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

    pub(super) fn clear(&self) {
        let _turn = self.writing.lock();
        self.apis.pin().clear();
    }

    pub(crate) fn count(&self) -> usize {
        self.apis
            .pin()
            .values()
            .map(|versions| versions.len())
            .sum()
    }

    pub(super) fn services(&self) -> BTreeSet<String> {
        self.apis
            .pin()
            .keys()
            .map(|key| key.service.to_string())
            .collect()
    }

    /// All functions of the named services, of every service where none is named.
    pub(super) fn functions(&self, services: &[&str]) -> FunctionList {
        let mut list = FunctionList::new();
        for (key, versions) in &self.apis.pin() {
            if services.is_empty() || services.contains(&&*key.service) {
                let versions = versions
                    .iter()
                    .map(|route| route.version().map(str::to_owned));
                let types = list.entry(key.service.to_string()).or_default();
                types.insert(key.request_type.to_string(), versions.collect());
            }
        }
        list
    }

    /// Everything that is stored, by service and request type, and each in version order.
    pub(crate) fn routes(&self) -> Vec<Arc<Route>> {
        let apis = self.apis.pin();
        let mut apis: Vec<_> = apis.iter().collect();
        apis.sort_unstable_by_key(|(key, _)| (&key.service, &key.request_type));
        let routes = apis.iter().flat_map(|(_, versions)| versions.iter());
        routes.cloned().collect()
    }

    /// The versions of one API, in version order.
    pub(crate) fn routes_of(&self, service: &str, request_type: &str) -> Vec<Arc<Route>> {
        let all = self.read(service, request_type, |versions| {
            Ok(versions.iter().cloned().collect())
        });
        all.unwrap_or_default()
    }

    /// Whether there is a config of exactly this version, switched on or off.
    pub(super) fn contains(
        &self,
        service: &str,
        request_type: &str,
        version: Option<&str>,
    ) -> bool {
        let found = self.exact(service, request_type, version);
        !matches!(found, Err(LookupError::NotFound))
    }

    /// Whether this process has the function.
    pub(crate) fn has_function(&self, function: &Mfa) -> bool {
        self.functions
            .get(&function.module, &function.function)
            .is_some()
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
        let _turn = self.writing.lock();
        let apis = self.apis.pin();
        let mut versions = apis
            .get(&key)
            .map_or_else(Versions::default, |now| (**now).clone());
        change(&mut versions);
        if versions.is_empty() {
            apis.remove(&key);
        } else {
            apis.insert(key, Arc::new(versions));
        }
    }
}
