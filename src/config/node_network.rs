//! Where the nodes may be that a push names (specification, section 13).

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A place where the nodes of a push may be: hosts, and the scheme of their addresses where it is said.
///
/// | text | |
/// |---|---|
/// | `10.0.0.0/8`, `fd00::/8`, `10.0.0.7` | addresses with an IP address of this network |
/// | `nodes.internal` | addresses with this host name |
/// | `*.nodes.internal` | addresses with a host name below it |
/// | `*` | every host |
/// | `https://10.0.0.0/8`, `dns://nodes.internal`, `https://*` | the same, but only addresses of this scheme |
///
/// A host name is never looked up: it is in no network of IP addresses, wherever it leads.
///
/// ```
/// use gen_api::config::NodeNetwork;
///
/// let network: NodeNetwork = "https://10.0.0.0/8".parse()?;
/// assert!(network.contains("https://10.1.2.3:9000"));
/// assert!(!network.contains("http://10.1.2.3:9000"));
/// assert!(!network.contains("https://11.1.2.3:9000"));
/// # Ok::<(), gen_api::config::InvalidNodeNetwork>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeNetwork {
    text: String,
    scheme: Option<String>,
    hosts: Hosts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    Network(IpNet),
    Name(String),
    /// With the dot before it.
    Below(String),
}

impl NodeNetwork {
    /// Whether a node with this address is in it.
    #[must_use]
    pub fn contains(&self, address: &str) -> bool {
        let Some((scheme, host)) = scheme_and_host(address) else {
            return false;
        };
        let same_scheme = |own: &String| own.eq_ignore_ascii_case(scheme);
        self.scheme.as_ref().is_none_or(same_scheme) && self.hosts.contain(host)
    }
}

impl Hosts {
    fn contain(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        match self {
            Self::All => true,
            Self::Network(network) => {
                let address = host.parse::<IpAddr>().map(|address| address.to_canonical());
                address.is_ok_and(|address| network.contains(&address))
            }
            Self::Name(name) => *name == host,
            Self::Below(ending) => host.len() > ending.len() && host.ends_with(ending),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let network = text
            .parse()
            .map(|address: IpAddr| IpNet::from(address.to_canonical()));
        if let Ok(network) = network.or_else(|_| text.parse()) {
            return Some(Self::Network(network));
        }
        let below = text.strip_prefix("*.");
        let name = below.unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.bytes().all(known)
        };
        // A number is a slip in an IP address.
        let is_number = name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_number || !name.split('.').all(is_label) {
            return None;
        }
        Some(match below {
            Some(_) => Self::Below(format!(".{name}")),
            None => Self::Name(name),
        })
    }
}

/// The scheme and the host of an address; none where it names a user too, or no host.
fn scheme_and_host(address: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(six) => six.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = |port: &str| port.is_empty() || port.starts_with(':');
    let is_plain = !host.is_empty() && is_port(port) && !authority.contains('@');
    is_plain.then_some((scheme, host))
}

impl FromStr for NodeNetwork {
    type Err = InvalidNodeNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNodeNetwork> {
        let (scheme, hosts) = match text.split_once("://") {
            Some((scheme, hosts)) => (Some(scheme.to_ascii_lowercase()), hosts),
            None => (None, text),
        };
        let hosts = Hosts::parse(hosts).ok_or(InvalidNodeNetwork)?;
        if scheme.as_ref().is_some_and(String::is_empty) {
            return Err(InvalidNodeNetwork);
        }
        Ok(Self {
            text: text.to_owned(),
            scheme,
            hosts,
        })
    }
}

impl TryFrom<String> for NodeNetwork {
    type Error = InvalidNodeNetwork;

    fn try_from(text: String) -> Result<Self, InvalidNodeNetwork> {
        text.parse()
    }
}

impl From<NodeNetwork> for String {
    fn from(network: NodeNetwork) -> Self {
        network.text
    }
}

impl fmt::Display for NodeNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that names no place of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a network such as `10.0.0.0/8`, a host name, `*.` and a host name or `*`, with `https://` or another scheme before it where that matters"
)]
pub struct InvalidNodeNetwork;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(network: &str, address: &str) -> bool {
        let network: NodeNetwork = network.parse().unwrap();
        network.contains(address)
    }

    #[test]
    fn a_network_holds_its_addresses_in_both_families() {
        assert!(is_in("10.0.0.0/8", "http://10.255.0.1:9000"));
        assert!(is_in("10.0.0.0/8", "https://10.0.0.1"));
        assert!(is_in("10.0.0.0/8", "http://[::ffff:10.0.0.1]:9000"));
        assert!(is_in("fd00::/8", "https://[fd12::1]:9000"));
        assert!(is_in("10.0.0.7", "http://10.0.0.7:1"));
        assert!(is_in("::ffff:10.0.0.7", "http://10.0.0.7:1"));
        for outside in [
            "http://11.0.0.1:9000",
            "http://127.0.0.1",
            "http://[::1]:9000",
            "http://localhost:9000",
            "http://10.0.0.1.evil.example:9000",
            "http://10.0.0.1@evil.example:9000",
            "http://evil.example#10.0.0.1",
            "http://[10.0.0.1]evil.example:9000",
            "http://[10.0.0.1",
            "10.0.0.1:9000",
            "http://",
            "",
        ] {
            assert!(!is_in("10.0.0.0/8", outside), "{outside}");
        }
    }

    #[test]
    fn a_name_holds_itself_and_a_starred_one_what_is_below() {
        assert!(is_in("nodes.internal", "http://NODES.internal:9000"));
        assert!(!is_in("nodes.internal", "http://a.nodes.internal:9000"));
        assert!(is_in("*.nodes.internal", "http://a.nodes.internal:9000"));
        assert!(!is_in("*.nodes.internal", "http://nodes.internal:9000"));
        assert!(!is_in("*.nodes.internal", "http://evilnodes.internal"));
        assert!(is_in("*", "http://anything"));
    }

    #[test]
    fn a_scheme_is_held_to_where_it_is_said() {
        assert!(is_in("https://*", "HTTPS://10.0.0.1:9000"));
        assert!(!is_in("https://*", "http://10.0.0.1:9000"));
        assert!(is_in("dns://nodes", "dns://nodes:9000"));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "://x",
            "a b",
            "*.",
            "*x",
            "http://",
            "a..b",
        ] {
            assert!(text.parse::<NodeNetwork>().is_err(), "{text:?}");
        }
        let json = serde_json::json!("https://10.0.0.0/8");
        let network: NodeNetwork = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(network).unwrap(), json);
    }
}
