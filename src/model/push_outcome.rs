//! What becomes of a push, and what a gateway answers to whoever asks for it.

use serde::{Deserialize, Serialize};

/// How a push is to be taken (specification, section 13).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PushOptions {
    /// Store it also where the same config version is stored already. False by default.
    pub force: bool,
    /// Also remove the service's functions that the push does not list. False by default.
    pub replace: bool,
}

impl PushOptions {
    /// Stores the push also where the same config version is stored already.
    #[must_use]
    pub fn with_force(mut self) -> Self {
        self.force = true;
        self
    }

    /// Also removes the service's functions that the push does not list.
    #[must_use]
    pub fn with_replace(mut self) -> Self {
        self.replace = true;
        self
    }
}

/// What became of a push that was not refused (specification, section 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PushOutcome {
    /// All its functions are stored.
    Accepted,
    /// Nothing was done.
    Skipped(SkipReason),
}

/// Why nothing had to be done about a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The same config version is stored already.
    VersionMatches,
}

/// Whether a gateway holds a config version of a service (specification, section 13).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verification {
    /// It is the one that was pushed last.
    Matched,
    /// This other one was pushed last.
    Mismatch(String),
    /// The service was never pushed, or deleted since.
    NotFound,
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn outcomes_have_the_words_of_the_wire() {
        let skipped = PushOutcome::Skipped(SkipReason::VersionMatches);
        assert_eq!(to_value(PushOutcome::Accepted).unwrap(), "accepted");
        assert_eq!(
            to_value(skipped).unwrap(),
            json!({"skipped": "version_matches"})
        );
        assert_eq!(to_value(Verification::Matched).unwrap(), "matched");
        let mismatch = Verification::Mismatch("2".to_owned());
        assert_eq!(to_value(mismatch).unwrap(), json!({"mismatch": "2"}));
        assert_eq!(to_value(Verification::NotFound).unwrap(), "not_found");
    }
}
