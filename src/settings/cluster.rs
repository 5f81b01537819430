//! Other nodes: whose configs are pulled, and where pushed ones are kept.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    config::{self, ForeignRules, NodeNetwork},
    model::ServiceConfig,
};

/// The puller (specification, section 12).
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

/// The receiver of pushes (specification, section 13).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct ReceiverSettings {
    /// The directory in which accepted pushes are kept, so that they survive a restart; it is made where it is missing, and
    /// belongs to one engine at a time: a second one does not start. Not empty; by default nothing is kept.
    pub state_directory: Option<PathBuf>,
    /// Whether pushes and pulls replace and remove configs that this process added itself, in code or at runtime; false by
    /// default. Then a push is refused that names a request type of which this process has a config, whatever its version, and
    /// a pull leaves that out.
    pub may_replace_local: bool,
    /// The networks and schemes of the nodes that a push may name, and a list that was pulled; left out, the default: all, and
    /// empty: none. The nodes of `puller.services` may be anywhere.
    pub node_networks: Option<Vec<NodeNetwork>>,
    /// Whether a push is refused whose config version is older than the one that is held, unless it is forced. Semantic
    /// versions are ordered by their precedence; any other is older where it was replaced before, since this process started.
    /// False by default: such a push is taken, with a warning that names both versions.
    pub refuse_older: bool,
}

impl ReceiverSettings {
    /// Refuses pushes of older versions than the one that is held.
    #[must_use]
    pub fn with_refuse_older(mut self, refuse: bool) -> Self {
        self.refuse_older = refuse;
        self
    }

    /// Keeps accepted pushes in this directory.
    #[must_use]
    pub fn with_state_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state_directory = Some(directory.into());
        self
    }

    /// Lets pushes and pulls replace and remove configs that this process added itself.
    #[must_use]
    pub fn with_may_replace_local(mut self) -> Self {
        self.may_replace_local = true;
        self
    }

    /// Sets where the nodes may be that a push names.
    #[must_use]
    pub fn with_node_networks(mut self, networks: impl IntoIterator<Item = NodeNetwork>) -> Self {
        self.node_networks = Some(networks.into_iter().collect());
        self
    }

    /// What of this the configs are held to.
    pub(crate) fn foreign_rules(&self) -> ForeignRules {
        ForeignRules {
            may_replace_local: self.may_replace_local,
            node_networks: self.node_networks.clone(),
        }
    }
}
