//! The table of configs that requests read and the `ConfigDb` actor writes: lookups take no lock and allocate nothing.

mod key;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;

use self::key::{ApiKey, ApiKeyRef};
use super::{Allowlist, Route, adopt::ForeignRules, versions::Versions};
use crate::{
    arguments::Limits,
    function::Functions,
    model::{FunConfig, InvalidConfig, Mfa, Nodes, version},
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
    /// The allowlist does not name a function of it: the one it calls, a hook, its permission callback or its resolver (specification,
    /// section 18).
    #[error("the function {0} is not on the allowlist")]
    NotAllowed(Mfa),
    /// It came from a service, and this process has a config of its own for the same request type (setting
    /// `receiver.may_replace_local`).
    #[error("this gateway has a config of its own for it")]
    Local,
    /// It came from a service, and names a node at this address outside of the setting `receiver.node_networks`.
    #[error("the node {0:?} is not in the networks of receiver.node_networks")]
    NodeNotAllowed(String),
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

/// How often a look at the whole table is begun anew because a step was taken meanwhile.
const LOOKS: usize = 3;

/// All configs. It outlives the actor that writes to it.
///
/// A change of one API is one insertion. One of several APIs is a step: each set is put in place with the one before it
/// still visible, and then all of them are shown at once, by the number of steps that have been taken.
pub(crate) struct ConfigTable {
    /// Only configs bring keys in, so the hash need not withstand clients who try to make them collide.
    apis: papaya::HashMap<ApiKey, Arc<Versions>, DefaultHashBuilder>,
    /// Writers take turns, so that none overwrites what another has just added.
    writing: Mutex<()>,
    /// How many steps have been taken.
    steps: AtomicU64,
    functions: Arc<Functions>,
    allowlist: Allowlist,
    foreign: ForeignRules,
    limits: Limits,
    notice: Box<Notice>,
}

/// Hears of each config that is about to be stored.
type Notice = dyn Fn(&FunConfig) + Send + Sync;

impl ConfigTable {
    pub(crate) fn new(functions: Arc<Functions>, allowlist: Allowlist, limits: Limits) -> Self {
        Self {
            apis: papaya::HashMap::default(),
            writing: Mutex::new(()),
            steps: AtomicU64::new(0),
            functions,
            allowlist,
            foreign: ForeignRules::default(),
            limits,
            notice: Box::new(|_| ()),
        }
    }

    /// Sets what holds for configs that come from services.
    pub(crate) fn with_foreign_rules(mut self, foreign: ForeignRules) -> Self {
        self.foreign = foreign;
        self
    }

    /// Sets who hears of each config before it is stored.
    pub(crate) fn with_notice(
        mut self,
        notice: impl Fn(&FunConfig) + Send + Sync + 'static,
    ) -> Self {
        self.notice = Box::new(notice);
        self
    }

    /// The config that answers a request for this version, which may be absent (specification, section 11).
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
            .and_then(|versions| pick(versions.seen(|| self.steps_taken())))
    }

    fn steps_taken(&self) -> u64 {
        self.steps.load(Ordering::Acquire)
    }

    /// Looks at all sets as they are between two steps.
    fn look<T>(&self, look: impl Fn(&mut dyn Iterator<Item = (&ApiKey, &Versions)>) -> T) -> T {
        let look_at = |taken: u64| {
            let apis = self.apis.pin();
            let sets = apis.iter().map(|(key, set)| (key, set.seen(|| taken)));
            look(&mut sets.filter(|(_, set)| !set.is_empty()))
        };
        for _ in 0..LOOKS {
            let taken = self.steps_taken();
            let seen = look_at(taken);
            if self.steps_taken() == taken {
                return seen;
            }
        }
        // Steps come faster than the table can be looked at. Requests never wait like this: they look at one set.
        let _turn = self.writing.lock();
        look_at(self.steps_taken())
    }

    /// The limits that defaults of arguments are held to.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Everything that must hold before a config is stored. That its function is allowed comes first: no fault of the
    /// config hides a refusal.
    pub(super) fn check(&self, config: &FunConfig) -> Result<(), AddError> {
        if let Some(refused) = self.allowlist.refused(config).next() {
            return Err(AddError::NotAllowed(refused.clone()));
        }
        Ok(config.validate(&self.limits)?)
    }

    /// Everything that must hold before a config is stored that a pull or push brought, for a service on these nodes.
    pub(super) fn check_foreign(&self, config: &FunConfig, nodes: &Nodes) -> Result<(), AddError> {
        self.check(config)?;
        if config.nodes != *nodes
            && let Some(address) = self.foreign.refused(&config.nodes)
        {
            return Err(AddError::NodeNotAllowed(address.to_owned()));
        }
        let (service, request_type) = (&config.service, &config.request_type);
        let local = self.read(service, request_type, |versions| Ok(versions.has_local()));
        if !self.foreign.may_replace_local && local == Ok(true) {
            return Err(AddError::Local);
        }
        Ok(())
    }

    /// The first address outside of the networks that a push may name, and the resolver that it may not.
    pub(super) fn check_nodes(&self, nodes: &Nodes) -> Result<(), AddError> {
        match nodes {
            Nodes::Resolver(resolver) if !self.allowlist.allows(resolver) => {
                Err(AddError::NotAllowed(resolver.clone()))
            }
            nodes => match self.foreign.refused(nodes) {
                Some(address) => Err(AddError::NodeNotAllowed(address.to_owned())),
                None => Ok(()),
            },
        }
    }

    /// Makes a config ready for one request, without storing it: what a before hook may ask for.
    pub(crate) fn compile(&self, config: FunConfig) -> Result<Route, AddError> {
        self.check(&config)?;
        Ok(Route::compile(config, &self.functions, &self.limits))
    }

    pub(crate) fn count(&self) -> usize {
        self.look(|sets| sets.map(|(_, versions)| versions.len()).sum())
    }

    pub(super) fn services(&self) -> BTreeSet<String> {
        self.look(|sets| sets.map(|(key, _)| key.service.to_string()).collect())
    }

    /// All functions of the named services, of every service where none is named.
    pub(super) fn functions(&self, services: &[&str]) -> FunctionList {
        self.look(|sets| {
            let mut list = FunctionList::new();
            for (key, versions) in sets {
                if services.is_empty() || services.contains(&&*key.service) {
                    let versions = versions
                        .iter()
                        .map(|route| route.version().map(str::to_owned));
                    let types = list.entry(key.service.to_string()).or_default();
                    types.insert(key.request_type.to_string(), versions.collect());
                }
            }
            list
        })
    }

    /// Everything that is stored, by service and request type, and each in version order.
    pub(crate) fn routes(&self) -> Vec<Arc<Route>> {
        self.look(|sets| {
            let mut sets: Vec<_> = sets.collect();
            sets.sort_unstable_by_key(|(key, _)| (&key.service, &key.request_type));
            let routes = sets.iter().flat_map(|(_, versions)| versions.iter());
            routes.cloned().collect()
        })
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
}

#[cfg(test)]
mod tests;
