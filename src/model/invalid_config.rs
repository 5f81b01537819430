//! What is wrong with a config: every fault at once, each with the name of its field.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest reason that repeats what a config holds, in characters.
const REASON_CHARS: usize = 300;

/// A config that cannot be read or must not be used (specification, section 2).
///
/// ```
/// use gen_api::model::FunConfig;
/// use serde_json::json;
///
/// let error = FunConfig::from_value(json!({
///     "service": "users", "request_type": "", "nodes": "local", "mfa": ["Users", "get"], "timeout": 50,
/// }))
/// .unwrap_err();
/// assert_eq!(error.fields().collect::<Vec<_>>(), ["mfa", "request_type", "timeout"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InvalidConfig {
    /// All faults, at least one.
    pub faults: Vec<Fault>,
}

impl InvalidConfig {
    /// The fields at fault, in the order of the faults; a field with several faults comes several times.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.faults.iter().map(|fault| fault.field.as_str())
    }

    /// An error where there are faults.
    pub(crate) fn unless_empty(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Self { faults })
        }
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid config: ")?;
        for (index, fault) in self.faults.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidConfig {}

/// One thing that is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// The field at fault; `config` where the whole is no object.
    pub field: String,
    /// What the field should hold, and what it holds.
    pub reason: String,
}

impl Fault {
    /// A fault of one field; an overlong reason is cut.
    pub(crate) fn new(field: &str, reason: impl Into<String>) -> Self {
        let field = field.chars().take(REASON_CHARS).collect();
        let mut reason = reason.into();
        if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS) {
            reason.truncate(end);
            reason.push('…');
        }
        Self { field, reason }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}
