//! A config made ready for requests: what can be worked out once is worked out when it is stored.

use std::{sync::Arc, time::Duration};

use crate::{
    arguments::{ArgumentPlan, Limits},
    function::{Function, Functions},
    model::{FunConfig, VersionRank},
};

/// One stored config with everything a request needs of it.
pub(crate) struct Route {
    pub(crate) config: FunConfig,
    pub(crate) plan: ArgumentPlan,
    /// `None` where this process has no such function: another node may.
    pub(crate) function: Option<Arc<dyn Function>>,
    pub(crate) timeout: Option<Duration>,
    /// The place among the versions; `None` for an unversioned config.
    pub(super) rank: Option<VersionRank>,
    pub(super) enabled: bool,
}

impl Route {
    /// Compiles a valid config.
    pub(super) fn compile(config: FunConfig, functions: &Functions, limits: &Limits) -> Self {
        let plan = config.argument_plan(limits);
        let function = functions
            .get(&config.mfa.module, &config.mfa.function)
            .cloned();
        let rank = config.effective_version().map(VersionRank::new);
        Self {
            plan,
            function,
            timeout: config.timeout.duration(),
            rank,
            enabled: !config.disabled,
            config,
        }
    }

    /// The same route with the switch in another position.
    pub(super) fn switched(&self, enabled: bool) -> Self {
        Self {
            config: self.config.clone(),
            plan: self.plan.clone(),
            function: self.function.clone(),
            timeout: self.timeout,
            rank: self.rank.clone(),
            enabled,
        }
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.rank.as_ref().map(VersionRank::as_str)
    }
}
