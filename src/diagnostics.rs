//! How the engine is doing, typed and printable as aligned tables (specification, section 17).
//!
//! | on the handle | answers | with |
//! |---|---|---|
//! | [`cache_status`](crate::GenApi::cache_status) | what is configured? | [`CacheStatus`] |
//! | [`call_flow`](crate::GenApi::call_flow), [`call_flows`](crate::GenApi::call_flows) | what will a request meet? | [`CallFlow`], [`CallFlows`] |
//! | [`cluster_view`](crate::GenApi::cluster_view) | which nodes serve which service? | [`ClusterView`] |
//! | [`failed_configs`](crate::GenApi::failed_configs) | which configs were refused, and why? | [`FailedConfigs`](crate::config::FailedConfigs) |
//! | [`health_check`](crate::GenApi::health_check) | does everything run? | [`HealthReport`] |
//! | [`statistics`](crate::GenApi::statistics) | what was done so far? | [`Statistics`] |
//! | [`pool_status`](crate::GenApi::pool_status) | how busy are the pools? | [`PoolsStatus`](crate::worker_pool::PoolsStatus) |
//! | [`pushed_services_status`](crate::GenApi::pushed_services_status) | what did service nodes push? | [`PushedServicesStatus`] |
//! | [`rl_config`](crate::GenApi::rl_config), [`rl_global`](crate::GenApi::rl_global), [`rl_status`](crate::GenApi::rl_status) | what is limited, and how much is used? | [`RateLimitConfig`](crate::rate_limiter::RateLimitConfig), [`GlobalLimits`], [`KeyStatus`] |
//! | [`supervision_tree`](crate::GenApi::supervision_tree) | which actors are there? | [`SupervisionTree`](actix_otp::SupervisionTree) |
//!
//! ```
//! use gen_api::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = FunConfig::builder("users", "get").call("Users", "get").local().build()?;
//! let api = GenApi::builder().config(config).start_blocking()?;
//! let expected = "\
//! service  functions  versions  enabled  disabled
//! users            1         1        1         0
//! total            1         1        1         0";
//! assert_eq!(api.cache_status().to_string(), expected);
//! # Ok(())
//! # }
//! ```

mod cache;
mod call_flow;
mod cluster;
mod counters;
mod health;
mod pushed;
mod rate_limits;
mod statistics;

pub use self::{
    cache::{CacheStatus, ServiceCache},
    call_flow::{CallFlow, CallFlows, CallbackRule, PermissionRule},
    cluster::{ClusterNode, ClusterView},
    health::{ComponentHealth, HealthReport, HealthStatus},
    pushed::PushedServicesStatus,
    rate_limits::{GlobalLimits, KeyStatus},
    statistics::Statistics,
};
pub(crate) use self::{
    counters::{Count, Counters},
    health::Vitals,
    statistics::Now,
};
