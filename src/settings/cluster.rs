//! Other nodes: whose configs are pulled, and how one of several is chosen.

use serde::{Deserialize, Serialize};

use crate::model::ServiceConfig;

/// The puller (SPEC section 12).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct PullerSettings {
    /// The pause between two rounds, in milliseconds; at least 1, and 30 000 by default. It doubles with each round in
    /// which every service failed, up to 5 minutes.
    pub pull_interval_ms: u64,
    /// How long each call to a node may take, in milliseconds; at least 1, and 5 000 by default.
    pub pull_timeout_ms: u64,
    /// The services that are pulled from the start, each named once.
    pub services: Vec<ServiceConfig>,
}

impl Default for PullerSettings {
    fn default() -> Self {
        Self {
            pull_interval_ms: 30_000,
            pull_timeout_ms: 5_000,
            services: Vec::new(),
        }
    }
}

/// How nodes are found and chosen (SPEC section 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct NodeSettings {
    /// For how long an answer of a resolver serves further selections for the same config, in milliseconds. The default
    /// is 0: the resolver is asked at each selection.
    pub resolver_cache_ms: u64,
    /// How long a resolver may take before it counts as failed, in milliseconds; at least 1, and 5 000 by default.
    pub resolver_timeout_ms: u64,
    /// For how long a key of the mode `sticky` keeps its node, in milliseconds; at least 1, and an hour by default.
    pub sticky_ttl_ms: u64,
    /// How many such keys are remembered; at least 1, and 100 000 by default.
    pub sticky_max_entries: usize,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            resolver_cache_ms: 0,
            resolver_timeout_ms: 5_000,
            sticky_ttl_ms: 3_600_000,
            sticky_max_entries: 100_000,
        }
    }
}
