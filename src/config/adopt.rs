//! How a config that came from a service is made one of this gateway.

use crate::model::{FunConfig, Nodes};

/// Makes a service's config fit for the table: `"0.0.0"` and an empty version mean unversioned, and `"local"` means the
/// service's own nodes (SPEC section 2).
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
