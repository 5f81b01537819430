//! Where a function can run.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The address of a service node: a text that its transport interprets, never a blank one (specification, section 2).
///
/// Clones share the text.
///
/// ```
/// use gen_api::node::Address;
///
/// let address = Address::new("http://10.0.0.7:9000")?;
/// assert_eq!(address.as_str(), "http://10.0.0.7:9000");
/// assert!(Address::new("").is_err());
/// # Ok::<(), gen_api::node::InvalidAddress>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(Arc<str>);

impl Address {
    /// An address with this text, as it is.
    ///
    /// # Errors
    /// [`InvalidAddress`] where the text is empty or consists of white space.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidAddress> {
        let text = text.as_ref();
        if text.trim().is_empty() {
            return Err(InvalidAddress);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl TryFrom<String> for Address {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        Self::new(text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.as_str().to_owned()
    }
}

/// A blank text, which can be no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address must not be blank")]
pub struct InvalidAddress;

/// A place to run a function: this process, or the service node at an address (specification, section 1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// This process.
    Local,
    /// A service node, reached through a transport.
    Remote(Address),
}

impl Node {
    /// Whether it is this process.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local)
    }

    /// Its address; none for this process.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Local => None,
            Self::Remote(address) => Some(address),
        }
    }
}

impl From<Address> for Node {
    fn from(address: Address) -> Self {
        Self::Remote(address)
    }
}

impl fmt::Display for Node {
    /// The address, or `local`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Remote(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_text_is_no_address() {
        for blank in ["", " ", "\t\n"] {
            assert_eq!(Address::new(blank), Err(InvalidAddress));
            assert!(serde_json::from_value::<Address>(blank.into()).is_err());
        }
    }

    #[test]
    fn an_address_keeps_its_text_as_it_is() {
        let address = Address::new(" dns://nodes:9000").unwrap();
        let json = serde_json::to_value(&address).unwrap();
        assert_eq!(json, " dns://nodes:9000");
        assert_eq!(serde_json::from_value::<Address>(json).unwrap(), address);
    }

    #[test]
    fn an_address_that_reads_local_is_not_this_process() {
        let node = Node::from(Address::new("local").unwrap());
        assert!(!node.is_local());
    }
}
