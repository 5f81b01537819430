//! What can be set about nodes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The settings of a [`NodeResolver`](super::NodeResolver) and a [`NodeSelector`](super::NodeSelector).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NodeSettings {
    /// For how long, in milliseconds, an answer of a resolver serves further selections for the same config. 0 by
    /// default: the resolver is asked at each selection.
    pub resolver_cache_ms: u64,
    /// How long, in milliseconds, a resolver may take before it counts as failed. 5 000 by default.
    pub resolver_timeout_ms: u64,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            resolver_cache_ms: 0,
            resolver_timeout_ms: 5_000,
        }
    }
}

impl NodeSettings {
    /// Lets an answer of a resolver serve for this long, in whole milliseconds.
    #[must_use]
    pub fn with_resolver_cache(mut self, time: Duration) -> Self {
        self.resolver_cache_ms = millis(time);
        self
    }

    /// Lets a resolver take this long, in whole milliseconds.
    #[must_use]
    pub fn with_resolver_timeout(mut self, time: Duration) -> Self {
        self.resolver_timeout_ms = millis(time);
        self
    }

    pub(super) fn resolver_cache(&self) -> Duration {
        Duration::from_millis(self.resolver_cache_ms)
    }

    pub(super) fn resolver_timeout(&self) -> Duration {
        Duration::from_millis(self.resolver_timeout_ms)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
