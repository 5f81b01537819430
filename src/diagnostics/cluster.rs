//! Which nodes serve which service.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{config::ConfigTable, model::Nodes, text_table::TextTable};

/// The nodes of every service as its configs name them; prints as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClusterView {
    /// A line for each service and node, in this order.
    pub nodes: Vec<ClusterNode>,
}

/// One node of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClusterNode {
    /// The service.
    pub service: String,
    /// The node's address; `local` for this process; `resolver` and its function where the nodes are asked for at each
    /// selection.
    pub node: String,
    /// How many configs of the service, every version counted, may be called there.
    pub configs: usize,
    /// Whether it is up (`true`) or counts as down (`false`: it does not answer, or does not take the secret); none where
    /// nothing is known, since nobody has asked for it yet.
    pub up: Option<bool>,
}

impl ClusterView {
    pub(crate) fn new(configs: &ConfigTable, is_up: impl Fn(&str) -> Option<bool>) -> Self {
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for route in configs.routes() {
            if !route.enabled() {
                continue;
            }
            let mut named = match &route.config.nodes {
                Nodes::Local => vec!["local".to_owned()],
                Nodes::List(addresses) => addresses.clone(),
                Nodes::Resolver(resolver) => vec![format!("resolver {resolver}")],
            };
            // An address that a config names twice is one node all the same.
            named.sort_unstable();
            named.dedup();
            for node in named {
                *counts
                    .entry((route.config.service.clone(), node))
                    .or_default() += 1;
            }
        }
        let nodes = counts
            .into_iter()
            .map(|((service, node), configs)| ClusterNode {
                up: is_up(&node),
                service,
                node,
                configs,
            });
        Self {
            nodes: nodes.collect(),
        }
    }
}

impl fmt::Display for ClusterView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TextTable::new()
            .text("service")
            .text("node")
            .number("configs")
            .text("state");
        for line in &self.nodes {
            let state = match line.up {
                Some(true) => "up",
                Some(false) => "down",
                None => "-",
            };
            let configs = line.configs.to_string();
            table.row([line.service.as_str(), &line.node, &configs, state]);
        }
        table.fmt(f)
    }
}
