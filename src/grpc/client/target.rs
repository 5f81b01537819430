//! What the text of an address means to this transport.

use tokio_rustls::rustls::pki_types::ServerName;
use tonic::codegen::http::{Uri, uri::Authority};

/// What an address names.
#[derive(Debug)]
pub(super) enum Target {
    /// One node.
    Node(NodeTarget),
    /// All nodes behind a name.
    Group(GroupTarget),
}

/// Where one node is.
#[derive(Debug)]
pub(super) struct NodeTarget {
    /// A name or an IP address, without the brackets of a URI.
    pub(super) host: String,
    pub(super) port: u16,
    /// `http://host:port` or `https://host:port`, as calls carry it.
    pub(super) origin: Uri,
    /// The name that its certificate has to carry; `None` without TLS.
    pub(super) name: Option<ServerName<'static>>,
}

/// A name with several addresses behind it, all with this port.
#[derive(Debug)]
pub(super) struct GroupTarget {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Whether this process calls over TLS, and which name it asks of the other side.
#[derive(Clone, Copy)]
pub(super) enum Encryption<'a> {
    None,
    Tls { domain: Option<&'a str> },
}

/// How an address begins that names a group.
pub(super) const GROUP: &str = "dns://";

impl Target {
    /// Reads an address; the error tells what is wrong with it.
    pub(super) fn parse(address: &str, encryption: Encryption<'_>) -> Result<Self, String> {
        // What follows the `#` is the name that the certificate has to carry.
        let (address, name) = match address.split_once('#') {
            Some((address, name)) => (address, Some(name)),
            None => (address, None),
        };
        let wrong = |what: &str| format!("{address} is no address of a node: {what}");
        let uri: Uri = address
            .parse()
            .map_err(|error| wrong(&format!("{error}")))?;
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it must not hold a user"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("nothing may follow the port"));
        }
        if authority.port_u16().is_none() && authority.as_str() != authority.host() {
            return Err(wrong("its port is none"));
        }
        let host = bare(authority.host()).to_owned();
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        match (uri.scheme_str(), encryption) {
            (Some("dns"), _) => {
                let port = authority.port_u16();
                let port = port.ok_or_else(|| wrong("it names no port"))?;
                Ok(Self::Group(GroupTarget { host, port }))
            }
            (Some("http"), Encryption::None) => node(authority, host, 80, "http", None),
            (Some("http"), Encryption::Tls { .. }) => Err(wrong(
                "with grpc.tls set, only https:// addresses are called",
            )),
            (Some("https"), Encryption::None) => Err(wrong("https:// needs grpc.tls to be set")),
            (Some("https"), Encryption::Tls { domain }) => {
                let name = domain.or(name).unwrap_or(&host).to_owned();
                let name = ServerName::try_from(name)
                    .map_err(|_| wrong("the name of its certificate is none"))?;
                node(authority, host, 443, "https", Some(name))
            }
            _ => Err(wrong("it must begin with http://, https:// or dns://")),
        }
    }
}

fn node(
    authority: &Authority,
    host: String,
    default_port: u16,
    scheme: &str,
    name: Option<ServerName<'static>>,
) -> Result<Target, String> {
    let port = authority.port_u16().unwrap_or(default_port);
    let origin = Uri::builder()
        .scheme(scheme)
        .authority(authority.clone())
        .path_and_query("/")
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Target::Node(NodeTarget {
        host,
        port,
        origin,
        name,
    }))
}

fn bare(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: Encryption<'_> = Encryption::Tls { domain: None };

    fn node(address: &str, encryption: Encryption<'_>) -> NodeTarget {
        match Target::parse(address, encryption) {
            Ok(Target::Node(node)) => node,
            other => panic!("{address}: {other:?}"),
        }
    }

    #[test]
    fn an_address_names_host_and_port() {
        let plain = node("http://10.0.0.7:9000", Encryption::None);
        assert_eq!((plain.host.as_str(), plain.port), ("10.0.0.7", 9000));
        assert_eq!(plain.origin, "http://10.0.0.7:9000/");
        assert_eq!(plain.name, None);
        let six = node("http://[::1]:9000/", Encryption::None);
        assert_eq!((six.host.as_str(), six.port), ("::1", 9000));
        assert_eq!(node("http://users", Encryption::None).port, 80);
        assert_eq!(node("https://users", TLS).port, 443);
    }

    #[test]
    fn the_certificate_carries_the_host_or_the_name_that_is_given() {
        let name = |address, encryption| node(address, encryption).name.unwrap();
        let text = |name: ServerName<'_>| name.to_str().into_owned();
        assert_eq!(text(name("https://users:1", TLS)), "users");
        assert_eq!(text(name("https://10.0.0.7:1", TLS)), "10.0.0.7");
        assert_eq!(text(name("https://10.0.0.7:1#users", TLS)), "users");
        let domain = Encryption::Tls {
            domain: Some("nodes"),
        };
        assert_eq!(text(name("https://10.0.0.7:1#users", domain)), "nodes");
    }

    #[test]
    fn a_group_names_its_port() {
        let group = Target::parse("dns://users:9000", TLS);
        let Ok(Target::Group(group)) = group else {
            panic!("{group:?}");
        };
        assert_eq!((group.host.as_str(), group.port), ("users", 9000));
        assert!(Target::parse("dns://users", TLS).is_err());
    }

    #[test]
    fn nothing_goes_out_in_the_clear_where_tls_is_set() {
        let error = Target::parse("http://users:1", TLS).unwrap_err();
        assert!(
            error.ends_with("only https:// addresses are called"),
            "{error}"
        );
        let error = Target::parse("https://users:1", Encryption::None).unwrap_err();
        assert!(
            error.ends_with("https:// needs grpc.tls to be set"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_address_says_why() {
        for address in [
            "",
            "users",
            "users:9000",
            "ftp://users:1",
            "http://",
            "http://users:port",
            "http://user:password@users:1",
            "http://users:1/path",
            "http://users:1?query",
            "http://:1",
            "dns://",
            "\u{0}",
        ] {
            assert!(
                Target::parse(address, Encryption::None).is_err(),
                "{address}"
            );
        }
    }
}
