//! How a config that came from a service is made one of this gateway.

use super::NodeNetwork;
use crate::model::{FunConfig, Nodes};

/// What holds for configs that come from services, beside what holds for all.
#[derive(Clone, Debug, Default)]
pub(crate) struct ForeignRules {
    /// Whether they replace and remove configs of this process.
    pub(crate) may_replace_local: bool,
    /// Where the nodes may be that they name; anywhere where nothing is said.
    pub(crate) node_networks: Option<Vec<NodeNetwork>>,
}

impl ForeignRules {
    /// The first address that they may not name.
    pub(super) fn refused<'n>(&self, nodes: &'n Nodes) -> Option<&'n str> {
        let (Some(networks), Nodes::List(addresses)) = (&self.node_networks, nodes) else {
            return None;
        };
        let is_in = |address: &str| networks.iter().any(|network| network.contains(address));
        let mut addresses = addresses.iter().map(String::as_str);
        addresses.find(|address| !is_in(address))
    }
}

/// Makes a service's config fit for the table: `"0.0.0"` and an empty version mean unversioned, and `"local"` means the
/// service's own nodes (specification, section 2).
pub(super) fn adopt(mut config: FunConfig, nodes: &Nodes) -> FunConfig {
    if config.effective_version().is_none() {
        config.version = None;
    }
    if matches!(config.nodes, Nodes::Local) {
        config.nodes = nodes.clone();
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> FunConfig {
        let config = FunConfig::builder("users", "get").call("Users", "get");
        config.version("1.0.0").local().build().unwrap()
    }

    #[test]
    fn local_means_the_nodes_of_the_service() {
        let nodes = Nodes::list(["http://a:1"]);
        assert_eq!(adopt(config(), &nodes).nodes, nodes);
        let mut elsewhere = config();
        elsewhere.nodes = Nodes::list(["http://b:1"]);
        assert_eq!(adopt(elsewhere.clone(), &nodes), elsewhere);
    }

    #[test]
    fn the_reserved_and_the_empty_version_mean_unversioned() {
        for (version, expected) in [("0.0.0", None), ("", None), ("1.0.0", Some("1.0.0"))] {
            let mut config = config();
            config.version = Some(version.to_owned());
            let adopted = adopt(config, &Nodes::list(["http://a:1"]));
            assert_eq!(adopted.version.as_deref(), expected);
        }
    }
}
