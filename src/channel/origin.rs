//! Whether a page may connect: its `Origin` header against the configured list (docs/channels.md, "Connecting").
//!
//! Browsers send cookies along with a WebSocket from any page, so an endpoint that knows its users by a cookie must not
//! take connections from pages of others.

use crate::settings::OriginParts;

/// Whether a client that names this origin may connect to this host.
///
/// Clients that name no origin are no browsers; they cannot be held to it and pass.
pub(crate) fn is_allowed(origins: &[String], origin: Option<&str>, host: &str) -> bool {
    let Some(origin) = origin else {
        return true;
    };
    if origins.iter().any(|entry| entry == "*") {
        return true;
    }
    let Some(origin) = OriginParts::parse(origin) else {
        return false;
    };
    if origins.is_empty() {
        return is_same_host(origin, host);
    }
    let entries = origins.iter().filter_map(|entry| OriginParts::parse(entry));
    entries.into_iter().any(|entry| matches(entry, origin))
}

/// Whether the page came from where it connects to.
fn is_same_host(origin: OriginParts<'_>, host: &str) -> bool {
    let Some((host, port)) = OriginParts::authority(host) else {
        return false;
    };
    // Whether the connection is encrypted may be known to a proxy alone, so either default stands for none.
    let default = |port: Option<u16>| port.filter(|port| !matches!(port, 80 | 443));
    origin.host.eq_ignore_ascii_case(host) && default(origin.port) == default(port)
}

fn matches(entry: OriginParts<'_>, origin: OriginParts<'_>) -> bool {
    let scheme = entry.scheme.is_none_or(|scheme| {
        origin
            .scheme
            .is_some_and(|found| found.eq_ignore_ascii_case(scheme))
    });
    let port = match (entry.port, entry.scheme) {
        (None, None) => true,
        _ => port_of(entry, origin) == port_of(origin, origin),
    };
    let host = match entry.host.strip_prefix("*.") {
        Some(parent) => is_below(origin.host, parent),
        None => origin.host.eq_ignore_ascii_case(entry.host),
    };
    scheme && port && host
}

/// The port, or the one that the origin's scheme stands for.
fn port_of(of: OriginParts<'_>, origin: OriginParts<'_>) -> Option<u16> {
    of.port.or(match origin.scheme {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })
}

fn is_below(host: &str, parent: &str) -> bool {
    let Some(begin) = host.len().checked_sub(parent.len() + 1) else {
        return false;
    };
    let Some((sub, rest)) = host.split_at_checked(begin) else {
        return false;
    };
    !sub.is_empty()
        && rest
            .strip_prefix('.')
            .is_some_and(|rest| rest.eq_ignore_ascii_case(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &[&str], origin: &str) -> bool {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        is_allowed(&origins, Some(origin), "api.example.com:8080")
    }

    #[test]
    fn a_client_that_names_no_origin_passes() {
        let list = ["https://example.com".to_owned()];
        assert!(is_allowed(&list, None, "x"));
        assert!(is_allowed(&[], None, "x"));
    }

    #[test]
    fn without_a_list_only_pages_of_the_same_host_and_port_pass() {
        assert!(allowed(&[], "http://api.example.com:8080"));
        assert!(allowed(&[], "https://API.example.com:8080"));
        assert!(!allowed(&[], "http://api.example.com"));
        assert!(!allowed(&[], "http://api.example.com:8081"));
        assert!(!allowed(&[], "http://example.com:8080"));
        assert!(!allowed(&[], "http://evil.com:8080"));
        assert!(is_allowed(&[], Some("https://a.b"), "a.b"));
        assert!(is_allowed(&[], Some("https://a.b"), "a.b:443"));
        assert!(is_allowed(&[], Some("http://[::1]:4000"), "[::1]:4000"));
    }

    #[test]
    fn a_listed_origin_passes_and_no_other() {
        let list = ["https://example.com"];
        assert!(allowed(&list, "https://example.com"));
        assert!(allowed(&list, "https://example.com:443"));
        for other in [
            "http://example.com",
            "https://example.com:8443",
            "https://example.com.evil.com",
            "https://notexample.com",
            "https://a.example.com",
            "http://api.example.com:8080",
            "null",
            "",
            "https://example.com@evil.com",
        ] {
            assert!(!allowed(&list, other), "{other}");
        }
    }

    #[test]
    fn an_entry_may_leave_out_scheme_and_port() {
        let list = ["//example.com", "//localhost:3000"];
        assert!(allowed(&list, "http://example.com"));
        assert!(allowed(&list, "https://example.com:8443"));
        assert!(allowed(&list, "http://localhost:3000"));
        assert!(!allowed(&list, "http://localhost:3001"));
        assert!(!allowed(&list, "http://localhost"));
    }

    #[test]
    fn a_star_stands_for_hosts_below_and_alone_for_all() {
        let list = ["https://*.example.com"];
        assert!(allowed(&list, "https://a.example.com"));
        assert!(allowed(&list, "https://a.b.example.com"));
        assert!(!allowed(&list, "https://example.com"));
        assert!(!allowed(&list, "https://badexample.com"));
        assert!(!allowed(&list, "http://a.example.com"));
        assert!(allowed(&["*"], "https://anything.org"));
        assert!(allowed(&["*"], "null"));
    }
}
