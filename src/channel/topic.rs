//! Which topics a channel serves: one by its name, or all with a prefix (`room:*`).

use std::fmt;

/// A topic, or a prefix with a star at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicPattern {
    Exact(String),
    Prefix(String),
}

/// The topic of the protocol itself.
pub(crate) const PROTOCOL_TOPIC: &str = "phoenix";

/// Why a text is no topic pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no topic pattern: {reason}")]
#[non_exhaustive]
pub struct InvalidTopic {
    /// The text.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl TopicPattern {
    pub(crate) fn parse(pattern: &str) -> Result<Self, InvalidTopic> {
        let invalid = |reason| InvalidTopic {
            pattern: pattern.to_owned(),
            reason,
        };
        match pattern.split_once('*') {
            _ if pattern.is_empty() => Err(invalid("it is empty")),
            _ if pattern == PROTOCOL_TOPIC => Err(invalid("it belongs to the protocol")),
            None => Ok(Self::Exact(pattern.to_owned())),
            Some((prefix, "")) => Ok(Self::Prefix(prefix.to_owned())),
            Some(_) => Err(invalid("the star must be its last letter")),
        }
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        match self {
            Self::Exact(name) => name == topic,
            Self::Prefix(prefix) => topic.starts_with(prefix.as_str()),
        }
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        TopicPattern::parse(pattern).unwrap().matches(topic)
    }

    #[test]
    fn a_topic_is_met_by_its_name_or_by_a_prefix() {
        assert!(matches("api:main", "api:main"));
        assert!(!matches("api:main", "api:main2"));
        assert!(matches("room:*", "room:lobby"));
        assert!(matches("room:*", "room:"));
        assert!(!matches("room:*", "rooms:1"));
        assert!(matches("*", "anything"));
    }

    #[test]
    fn a_star_in_the_middle_and_the_topic_of_the_protocol_are_refused() {
        for pattern in ["", "a*b", "**", "phoenix"] {
            assert!(TopicPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
