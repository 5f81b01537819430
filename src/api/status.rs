//! The handle's view of how the engine is doing (specification, section 17).

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};

use super::GenApi;
use crate::{
    config::LookupError,
    diagnostics::{
        CacheStatus, CallFlow, CallFlows, ClusterView, GlobalLimits, HealthReport, KeyStatus,
        PushedServicesStatus, Statistics, Vitals,
    },
    node::Address,
    rate_limiter::{LimitKey, RateLimitConfig},
};

/// How long the supervisors may take to answer a health check; they answer in microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

impl GenApi {
    /// What is configured, by service; prints as a table.
    #[must_use]
    pub fn cache_status(&self) -> CacheStatus {
        CacheStatus::new(&self.engine.pipeline.configs)
    }

    /// What a request without a version will meet on its way; prints as a table. Where the only config there is is
    /// disabled, it is shown as such.
    ///
    /// # Errors
    ///
    /// [`LookupError::NotFound`] where no config would answer.
    pub fn call_flow(&self, service: &str, request_type: &str) -> Result<CallFlow, LookupError> {
        let pipeline = &self.engine.pipeline;
        let route = pipeline.configs.fast(service, request_type).or_else(|_| {
            let mut all = pipeline.configs.routes_of(service, request_type);
            match (all.pop(), all.is_empty()) {
                (Some(only), true) => Ok(only),
                _ => Err(LookupError::NotFound),
            }
        })?;
        Ok(self.flow_of(&route))
    }

    /// The same for each config, every version for itself; prints as a table of one line each.
    #[must_use]
    pub fn call_flows(&self) -> CallFlows {
        let routes = self.engine.pipeline.configs.routes();
        let flows = routes.iter().map(|route| self.flow_of(route)).collect();
        CallFlows { flows }
    }

    /// Which nodes serve which service, as the enabled configs name them, and which of them are up; prints as a table.
    #[must_use]
    pub fn cluster_view(&self) -> ClusterView {
        let pipeline = &self.engine.pipeline;
        ClusterView::new(&pipeline.configs, |node| match node {
            "local" => Some(true),
            address => pipeline.is_up(&Address::new(address).ok()?),
        })
    }

    /// The services that pushed their configs to the [receiver](Self::receiver), and what they pushed last; prints as a
    /// table.
    #[must_use]
    pub fn pushed_services_status(&self) -> PushedServicesStatus {
        PushedServicesStatus::new(self.receiver().pushed_services())
    }

    /// Whether everything runs that should; prints as a table.
    pub async fn health_check(&self) -> HealthReport {
        let pipeline = &self.engine.pipeline;
        let tree = pin!(self.supervision_tree());
        let tree = match select(tree, pipeline.clock().sleep(PATIENCE)).await {
            Either::Left((tree, _)) => Some(tree),
            Either::Right(_) => None,
        };
        HealthReport::new(&Vitals {
            tree,
            pools: self.pool_status(),
            configs: &pipeline.configs,
            is_ready: self.is_ready(),
            in_flight: pipeline.in_flight(),
            max_in_flight: pipeline.settings.engine.max_in_flight,
        })
    }

    /// What the engine has done since it started; prints as a table.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.engine.pipeline.statistics()
    }

    /// What the rate limiter holds to; prints as a table.
    #[must_use]
    pub fn rl_config(&self) -> RateLimitConfig {
        self.rate_limiter().config()
    }

    /// The limits across all APIs, to view, set, add and remove; prints as a table.
    #[must_use]
    pub fn rl_global(&self) -> GlobalLimits {
        GlobalLimits::new(self.rate_limiter().clone())
    }

    /// How much a user has used of every limit that counts by user; prints as a table.
    #[must_use]
    pub fn rl_status(&self, user_id: &str) -> KeyStatus {
        KeyStatus::new(self.rate_limiter(), LimitKey::UserId, user_id)
    }

    fn flow_of(&self, route: &crate::config::Route) -> CallFlow {
        let pipeline = &self.engine.pipeline;
        CallFlow::new(
            route,
            &pipeline.configs,
            &pipeline.rate_limiter,
            pipeline.settings.engine.max_in_flight,
        )
    }
}
