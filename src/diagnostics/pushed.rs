//! What service nodes have pushed.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{config::PushedService, model::Nodes, text_table::TextTable};

/// The services that pushed their configs, and what they pushed last; prints as a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PushedServicesStatus {
    /// The services, by name.
    pub services: BTreeMap<String, PushedService>,
}

impl PushedServicesStatus {
    pub(crate) fn new(services: BTreeMap<String, PushedService>) -> Self {
        Self { services }
    }
}

impl fmt::Display for PushedServicesStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TextTable::new()
            .text("service")
            .text("version")
            .number("functions")
            .text("pulled too")
            .text("nodes");
        for (service, pushed) in &self.services {
            let nodes = match &pushed.nodes {
                Nodes::Local => "local".to_owned(),
                Nodes::List(addresses) => addresses.join(", "),
                Nodes::Resolver(resolver) => format!("resolver {resolver}"),
            };
            let is_pulled = if pushed.is_pulled { "yes" } else { "no" };
            table.row([
                service,
                &pushed.config_version,
                &pushed.functions.to_string(),
                is_pulled,
                &nodes,
            ]);
        }
        table.fmt(f)
    }
}
