//! A config made ready for requests: what can be worked out once is worked out when it is stored.

use std::{sync::Arc, time::Duration};

use crate::{
    arguments::{ArgumentPlan, Limits},
    function::{Function, Functions},
    model::{FunConfig, Nodes, Retry, VersionRank},
};

/// One stored config with everything a request needs of it.
pub(crate) struct Route {
    pub(crate) config: FunConfig,
    pub(crate) plan: ArgumentPlan,
    /// `None` where this process has no such function: another node may.
    pub(crate) function: Option<Arc<dyn Function>>,
    pub(crate) timeout: Option<Duration>,
    /// How many calls may follow a first one that failed.
    pub(crate) retries: u32,
    /// The names of the arguments in call order, for error texts; `None` where there are none.
    pub(crate) arg_names: Option<Arc<[String]>>,
    /// Whether the call carries the caller's identity.
    pub(crate) needs_info: bool,
    /// The place among the versions; `None` for an unversioned config.
    pub(super) rank: Option<VersionRank>,
    pub(super) enabled: bool,
    /// Whether an operator switched it off: then a refresh leaves it off.
    pub(super) switched_off: bool,
    /// Whether this process configured it itself; else a pull or push brought it.
    pub(super) is_local: bool,
}

impl Route {
    /// Service and request type, the name of an API in log lines.
    pub(crate) fn api(&self) -> (&str, &str) {
        (&self.config.service, &self.config.request_type)
    }

    /// Compiles a valid config.
    pub(super) fn compile(config: FunConfig, functions: &Functions, limits: &Limits) -> Self {
        let plan = config.argument_plan(limits);
        let function = functions
            .get(&config.mfa.module, &config.mfa.function)
            .cloned();
        let rank = config.effective_version().map(VersionRank::new);
        // What a function on another node needs is not known here.
        let needs_info = config.request_info
            || !matches!(config.nodes, Nodes::Local)
            || function
                .as_ref()
                .is_some_and(|function| function.needs_info());
        Self {
            timeout: config.timeout.duration(),
            retries: config.normalize_retry().map_or(0, Retry::times),
            arg_names: plan.names().map(Arc::from),
            plan,
            needs_info,
            function,
            rank,
            enabled: !config.disabled,
            switched_off: false,
            is_local: false,
            config,
        }
    }

    /// The same route as one that this process configured itself.
    pub(super) fn local(mut self) -> Self {
        self.is_local = true;
        self
    }

    /// The same route with the switch in another position.
    pub(super) fn switched(&self, enabled: bool) -> Self {
        Self {
            config: self.config.clone(),
            plan: self.plan.clone(),
            function: self.function.clone(),
            timeout: self.timeout,
            retries: self.retries,
            arg_names: self.arg_names.clone(),
            needs_info: self.needs_info,
            rank: self.rank.clone(),
            enabled,
            switched_off: !enabled,
            is_local: self.is_local,
        }
    }

    /// Whether it may be called.
    pub(crate) fn enabled(&self) -> bool {
        self.enabled
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.rank.as_ref().map(VersionRank::as_str)
    }
}
