//! The rules under which a function is called: how long, how often, for whom, and how it answers.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::wire::{WireForm, only_entry, serde_by_wire_form, text, texts};

/// How a function answers (specification, section 7). The JSON form is the name in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResponseType {
    /// With its result, in one response.
    #[default]
    Sync,
    /// With an acknowledgement at once and the result later.
    Async,
    /// With an acknowledgement at once and then piece by piece.
    Stream,
    /// Not at all, once the call is accepted.
    None,
}

impl ResponseType {
    /// Its name, as in the JSON form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
            Self::Stream => "stream",
            Self::None => "none",
        }
    }
}

impl fmt::Display for ResponseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long a call may take. The JSON form is a number of milliseconds or `"infinity"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// So many milliseconds; valid from 100 to 300 000.
    Millis(u64),
    /// As long as it wants.
    Infinity,
}

impl Timeout {
    /// The timeouts in milliseconds that are valid (specification, section 2).
    pub const VALID_MILLIS: std::ops::RangeInclusive<u64> = 100..=300_000;

    /// The longest time a call may take; none where it is unlimited.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Millis(millis) => Some(Duration::from_millis(millis)),
            Self::Infinity => None,
        }
    }

    pub(super) fn is_valid(self) -> bool {
        match self {
            Self::Millis(millis) => Self::VALID_MILLIS.contains(&millis),
            Self::Infinity => true,
        }
    }
}

impl Default for Timeout {
    /// Five seconds.
    fn default() -> Self {
        Self::Millis(5_000)
    }
}

impl From<Duration> for Timeout {
    /// In whole milliseconds; a fraction of one counts as one.
    fn from(duration: Duration) -> Self {
        Self::Millis(whole_millis(duration))
    }
}

/// A duration in milliseconds, rounded up, so that a short one does not become none.
pub(super) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl WireForm for Timeout {
    const EXPECTED: &'static str = r#"a whole number of milliseconds or "infinity""#;

    fn read(json: Value) -> Option<Self> {
        match json {
            Value::Number(number) => number.as_u64().map(Self::Millis),
            Value::String(word) => (word == "infinity").then_some(Self::Infinity),
            _ => None,
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Millis(millis) => json!(millis),
            Self::Infinity => json!("infinity"),
        }
    }
}

/// How often a failed call is tried again, and where (specification, section 9). The counts are valid from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// A bare number: the short form of [`AllNodes`](Self::AllNodes).
    Times(u32),
    /// On the node that was asked first. JSON: `{"same_node": n}`.
    SameNode(u32),
    /// On all nodes in turn. JSON: `{"all_nodes": n}`.
    AllNodes(u32),
}

impl Retry {
    /// The same without the short form: either [`SameNode`](Self::SameNode) or [`AllNodes`](Self::AllNodes).
    #[must_use]
    pub fn normalize(self) -> Self {
        match self {
            Self::Times(times) => Self::AllNodes(times),
            other => other,
        }
    }

    /// How many calls may follow the first.
    #[must_use]
    pub fn times(self) -> u32 {
        match self {
            Self::Times(times) | Self::SameNode(times) | Self::AllNodes(times) => times,
        }
    }
}

impl WireForm for Retry {
    const EXPECTED: &'static str = r#"null, a whole number, {"same_node": n} or {"all_nodes": n}"#;

    fn read(json: Value) -> Option<Self> {
        let count = |json: &Value| json.as_u64().and_then(|times| u32::try_from(times).ok());
        if json.is_number() {
            return count(&json).map(Self::Times);
        }
        let (mode, times) = only_entry(json)?;
        match mode.as_str() {
            "same_node" => count(&times).map(Self::SameNode),
            "all_nodes" => count(&times).map(Self::AllNodes),
            _ => None,
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Times(times) => json!(times),
            Self::SameNode(times) => json!({"same_node": times}),
            Self::AllNodes(times) => json!({"all_nodes": times}),
        }
    }
}

/// Who may call a function (specification, section 5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckPermission {
    /// Everybody. JSON: `false`.
    #[default]
    Off,
    /// Who has a user id. JSON: `"any_authenticated"`.
    AnyAuthenticated,
    /// Whose user id is the value of this argument. JSON: `{"arg": name}`.
    Arg(String),
    /// Who has one of these roles; nobody where there are none. JSON: `{"role": [names]}`.
    Role(Vec<String>),
}

impl CheckPermission {
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Arg(name) if name.is_empty() => {
                Some("the name of the argument must not be empty")
            }
            _ => None,
        }
    }
}

impl WireForm for CheckPermission {
    const EXPECTED: &'static str =
        r#"false, "any_authenticated", {"arg": name} or {"role": [names]}"#;

    fn read(json: Value) -> Option<Self> {
        match json {
            Value::Bool(false) => return Some(Self::Off),
            Value::String(word) => {
                return (word == "any_authenticated").then_some(Self::AnyAuthenticated);
            }
            _ => {}
        }
        let (mode, value) = only_entry(json)?;
        match mode.as_str() {
            "arg" => text(value).map(Self::Arg),
            "role" => texts(value).map(Self::Role),
            _ => None,
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Off => json!(false),
            Self::AnyAuthenticated => json!("any_authenticated"),
            Self::Arg(name) => json!({"arg": name}),
            Self::Role(names) => json!({"role": names}),
        }
    }
}

serde_by_wire_form!(Timeout, Retry, CheckPermission);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_becomes_whole_milliseconds_and_never_none_of_them() {
        assert_eq!(
            Timeout::from(Duration::from_secs(2)),
            Timeout::Millis(2_000)
        );
        assert_eq!(
            Timeout::from(Duration::from_micros(100_001)),
            Timeout::Millis(101)
        );
        assert_eq!(
            Timeout::from(Duration::MAX).duration(),
            Some(Duration::from_millis(u64::MAX))
        );
        assert_eq!(Timeout::Infinity.duration(), None);
    }

    #[test]
    fn a_bare_number_of_retries_means_all_nodes() {
        assert_eq!(Retry::Times(3).normalize(), Retry::AllNodes(3));
        assert_eq!(Retry::SameNode(2).normalize(), Retry::SameNode(2));
        assert_eq!(Retry::SameNode(2).times(), 2);
    }
}
