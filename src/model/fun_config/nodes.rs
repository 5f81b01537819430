//! Where a function runs, and which of its nodes is asked first.

use serde_json::{Value, json};

use super::Mfa;
use crate::model::wire::{WireForm, only_entry, serde_by_wire_form, text, texts};

/// Where a function runs (specification, sections 2 and 8).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Nodes {
    /// In this process; in a config that came from a service: on that service's own nodes. JSON: `"local"`.
    Local,
    /// On nodes at these addresses, none of them empty; the transport gives them their meaning.
    List(Vec<String>),
    /// On the nodes that a registered function names at each selection. JSON: `{"resolver": [module, function, args]}`.
    Resolver(Mfa),
}

impl Nodes {
    /// A fixed list of addresses.
    #[must_use]
    pub fn list<A: Into<String>>(addresses: impl IntoIterator<Item = A>) -> Self {
        Self::List(addresses.into_iter().map(Into::into).collect())
    }

    /// What is wrong with them, if anything.
    pub(in crate::model) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::List(addresses) if addresses.is_empty() => Some("must not be an empty list"),
            Self::List(addresses) if addresses.iter().any(String::is_empty) => {
                Some("every address must be a non-empty string")
            }
            Self::Resolver(resolver) if !resolver.is_named() => {
                Some("the resolver's module and function must not be empty")
            }
            Self::Local | Self::List(_) | Self::Resolver(_) => None,
        }
    }
}

impl WireForm for Nodes {
    const EXPECTED: &'static str =
        r#""local", a list of addresses or {"resolver": [module, function, [args]]}"#;

    fn read(json: Value) -> Option<Self> {
        match json {
            Value::String(word) => (word == "local").then_some(Self::Local),
            Value::Array(_) => texts(json).map(Self::List),
            json => match only_entry(json)? {
                (key, resolver) if key == "resolver" => Mfa::read(resolver).map(Self::Resolver),
                _ => None,
            },
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Local => json!("local"),
            Self::List(addresses) => json!(addresses),
            Self::Resolver(resolver) => json!({"resolver": resolver}),
        }
    }
}

/// Which of several nodes is asked first (specification, section 8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChooseNodeMode {
    /// Any.
    #[default]
    Random,
    /// By the request id: the same one always gets the same node. JSON: `"hash"`.
    Hash,
    /// By the value of an argument or request field of this name. JSON: `{"hash": key}`.
    HashKey(String),
    /// In turn.
    RoundRobin,
    /// Any at first, then the same one for the same value of this argument or request field.
    Sticky(String),
    /// By a selector that the embedder registered under this name.
    Custom(String),
}

impl ChooseNodeMode {
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::HashKey(name) | Self::Sticky(name) | Self::Custom(name) if name.is_empty() => {
                Some("its key or name must not be empty")
            }
            _ => None,
        }
    }
}

impl WireForm for ChooseNodeMode {
    const EXPECTED: &'static str =
        r#""random", "hash", {"hash": key}, "round_robin", {"sticky": key} or {"custom": name}"#;

    fn read(json: Value) -> Option<Self> {
        if let Value::String(word) = json {
            return match word.as_str() {
                "random" => Some(Self::Random),
                "hash" => Some(Self::Hash),
                "round_robin" => Some(Self::RoundRobin),
                _ => None,
            };
        }
        let (mode, key) = only_entry(json)?;
        let key = text(key)?;
        match mode.as_str() {
            "hash" => Some(Self::HashKey(key)),
            "sticky" => Some(Self::Sticky(key)),
            "custom" => Some(Self::Custom(key)),
            _ => None,
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Random => json!("random"),
            Self::Hash => json!("hash"),
            Self::HashKey(key) => json!({"hash": key}),
            Self::RoundRobin => json!("round_robin"),
            Self::Sticky(key) => json!({"sticky": key}),
            Self::Custom(name) => json!({"custom": name}),
        }
    }
}

serde_by_wire_form!(Nodes, ChooseNodeMode);
