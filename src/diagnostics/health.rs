//! Whether everything runs that should.

use std::fmt;

use actix_otp::{ChildState, SupervisionTree};
use serde::Serialize;

use crate::{
    config::ConfigTable,
    model::Nodes,
    text_table::TextTable,
    worker_pool::{CircuitState, PoolStatus, PoolsStatus},
};

/// The engine's health, part by part; prints as a table with a first line for the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HealthReport {
    /// The worst of all parts.
    pub status: HealthStatus,
    /// Every part: the actors by their path in the supervision tree, then the rest.
    pub components: Vec<ComponentHealth>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthStatus {
    /// As it should be.
    Healthy,
    /// Requests are served, but not all of them, or not as well.
    Degraded,
    /// It stops: what runs may end, and nothing more is taken.
    Stopping,
    /// The engine was stopped, or has given up.
    Stopped,
}

/// The health of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ComponentHealth {
    /// Its name.
    pub component: String,
    /// How it is.
    pub status: HealthStatus,
    /// What that means here.
    pub detail: String,
}

/// What a report is made from.
pub(crate) struct Vitals<'a> {
    /// `None` where the supervisors did not answer in time.
    pub(crate) tree: Option<SupervisionTree>,
    pub(crate) pools: PoolsStatus,
    pub(crate) configs: &'a ConfigTable,
    pub(crate) is_ready: bool,
    pub(crate) in_flight: usize,
    pub(crate) max_in_flight: Option<usize>,
}

impl HealthReport {
    pub(crate) fn new(vitals: &Vitals<'_>) -> Self {
        let mut components = Vec::new();
        match &vitals.tree {
            Some(tree) => {
                actors(tree, "", &mut components);
                if let Some(root) = components.first_mut()
                    && root.status != HealthStatus::Healthy
                {
                    root.status = HealthStatus::Stopped;
                }
            }
            None => components.push(ComponentHealth::new(
                "supervisors",
                HealthStatus::Degraded,
                "they did not answer in time",
            )),
        }
        components.push(pool(&vitals.pools.async_pool));
        components.push(pool(&vitals.pools.stream_pool));
        components.push(pool(&vitals.pools.blocking_pool));
        components.push(admission(vitals));
        components.push(functions(vitals.configs));
        let worst = components.iter().map(|component| component.status).max();
        Self {
            status: worst.unwrap_or(HealthStatus::Healthy),
            components,
        }
    }

    /// Whether every part is as it should be.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.status == HealthStatus::Healthy
    }

    /// Whether requests are served, though perhaps not all of them: what a readiness probe asks.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status < HealthStatus::Stopping
    }
}

impl ComponentHealth {
    fn new(component: impl Into<String>, status: HealthStatus, detail: impl Into<String>) -> Self {
        Self {
            component: component.into(),
            status,
            detail: detail.into(),
        }
    }
}

/// An actor and all below it.
fn actors(tree: &SupervisionTree, above: &str, components: &mut Vec<ComponentHealth>) {
    let path = if above.is_empty() {
        tree.id.to_string()
    } else {
        format!("{above}/{}", tree.id)
    };
    let status = match tree.state {
        ChildState::Running { .. } => HealthStatus::Healthy,
        _ => HealthStatus::Degraded,
    };
    components.push(ComponentHealth::new(&*path, status, tree.state.to_string()));
    for child in &tree.children {
        actors(child, &path, components);
    }
}

fn pool(pool: &PoolStatus) -> ComponentHealth {
    let full = pool.idle == 0 && pool.queued >= pool.queue;
    let (status, detail) = match pool.circuit {
        CircuitState::Open => (
            HealthStatus::Degraded,
            format!("the circuit is open for {} ms", pool.retry_after_ms),
        ),
        CircuitState::HalfOpen => (
            HealthStatus::Degraded,
            "the circuit is half-open".to_owned(),
        ),
        CircuitState::Closed if full => (
            HealthStatus::Degraded,
            format!("all {} places and the queue are taken", pool.places),
        ),
        CircuitState::Closed => (
            HealthStatus::Healthy,
            format!("{} of {} places taken", pool.busy, pool.places),
        ),
    };
    ComponentHealth::new(format!("{} pool", pool.pool), status, detail)
}

fn admission(vitals: &Vitals<'_>) -> ComponentHealth {
    let now = vitals.in_flight;
    let (status, detail) = match vitals.max_in_flight {
        _ if !vitals.is_ready => (
            HealthStatus::Stopping,
            format!("the engine is stopping, {now} requests in flight"),
        ),
        Some(max) if now >= max => (
            HealthStatus::Degraded,
            format!("{now} of {max} requests in flight"),
        ),
        Some(max) => (
            HealthStatus::Healthy,
            format!("{now} of {max} requests in flight"),
        ),
        None => (
            HealthStatus::Healthy,
            format!("{now} requests in flight, no limit"),
        ),
    };
    ComponentHealth::new("admission", status, detail)
}

/// Whether this process has every function that an enabled local config names.
fn functions(configs: &ConfigTable) -> ComponentHealth {
    let routes = configs.routes();
    let missing: Vec<_> = routes
        .iter()
        .filter(|route| {
            route.enabled() && route.config.nodes == Nodes::Local && route.function.is_none()
        })
        .map(|route| &route.config)
        .collect();
    match missing.first() {
        None => ComponentHealth::new(
            "functions",
            HealthStatus::Healthy,
            format!("{} configs", routes.len()),
        ),
        Some(first) => ComponentHealth::new(
            "functions",
            HealthStatus::Degraded,
            format!(
                "{} of {} configs name a function that is not registered, such as {}/{}: {}",
                missing.len(),
                routes.len(),
                first.service,
                first.request_type,
                first.mfa
            ),
        ),
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        })
    }
}

impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TextTable::new()
            .text("component")
            .text("status")
            .text("detail");
        table.row(["engine".to_owned(), self.status.to_string(), String::new()]);
        for component in &self.components {
            table.row([
                component.component.clone(),
                component.status.to_string(),
                component.detail.clone(),
            ]);
        }
        table.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        arguments::Limits,
        clock::{Clock, ManualClock},
        config::Allowlist,
        function::Functions,
        worker_pool::{PoolSettings, WorkerPools},
    };

    #[test]
    fn supervisors_that_do_not_answer_degrade_the_engine() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let configs = ConfigTable::new(
            Arc::new(Functions::new()),
            Allowlist::default(),
            Limits::default(),
        );
        let pools = WorkerPools::new(
            PoolSettings::ASYNC,
            PoolSettings::STREAM,
            PoolSettings::BLOCKING,
            &clock,
            None,
        );
        let report = HealthReport::new(&Vitals {
            tree: None,
            pools: pools.status(),
            configs: &configs,
            is_ready: true,
            in_flight: 0,
            max_in_flight: None,
        });
        assert_eq!(report.status, HealthStatus::Degraded);
        let degraded: Vec<_> = report
            .components
            .iter()
            .filter(|component| component.status != HealthStatus::Healthy)
            .map(|component| &*component.component)
            .collect();
        assert_eq!(degraded, ["supervisors"]);
    }
}
