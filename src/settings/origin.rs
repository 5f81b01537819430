//! How an origin is written: by browsers, and in the list of those that may connect.

/// The parts of `https://example.com:8443`; an entry of the list may leave out the scheme (`//example.com`) and the port,
/// and begin the host with `*.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OriginParts<'a> {
    pub(crate) scheme: Option<&'a str>,
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> OriginParts<'a> {
    /// Reads an origin; `None` for what is none.
    pub(crate) fn parse(origin: &'a str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("//")?;
        let scheme = match scheme {
            "" => None,
            scheme => Some(scheme.strip_suffix(':').filter(|name| !name.is_empty())?),
        };
        let (host, port) = Self::authority(authority)?;
        Some(Self { scheme, host, port })
    }

    /// Reads a host with or without a port.
    pub(crate) fn authority(authority: &'a str) -> Option<(&'a str, Option<u16>)> {
        let (host, port) = match authority.rsplit_once(':') {
            // The colons within brackets belong to an address.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (authority, None),
        };
        let odd = |letter: char| matches!(letter, '/' | '?' | '#' | '@') || letter.is_whitespace();
        let bare = host.strip_prefix("*.").unwrap_or(host);
        let named = !bare.is_empty() && !bare.contains('*') && !host.contains(odd);
        named.then_some((host, port))
    }
}
