//! Other nodes: whose configs are pulled, and where pushed ones are kept.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{config, model::ServiceConfig};

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

impl PullerSettings {
    /// What the puller itself needs of this.
    pub(crate) fn rounds(&self) -> config::PullerSettings {
        config::PullerSettings::default()
            .with_pull_interval(Duration::from_millis(self.pull_interval_ms))
            .with_pull_timeout(Duration::from_millis(self.pull_timeout_ms))
    }
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

/// The receiver of pushes (SPEC section 13).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct ReceiverSettings {
    /// The directory in which accepted pushes are kept, so that they survive a restart; it is made where it is missing, and
    /// belongs to one engine at a time. Not empty; by default nothing is kept.
    pub state_directory: Option<PathBuf>,
}

impl ReceiverSettings {
    /// Keeps accepted pushes in this directory.
    #[must_use]
    pub fn with_state_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state_directory = Some(directory.into());
        self
    }
}
