//! What is wrong with settings, by key.

use std::{fmt, io, path::PathBuf};

use thiserror::Error;

/// The longest reason, in characters: it may quote what a file holds.
const REASON_CHARS: usize = 300;

/// Why settings could not be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file could not be read.
    #[error("the settings file {} cannot be read: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        reason: io::Error,
    },
    /// A text is no TOML. What it holds is not repeated, since it may be a secret.
    #[error("{source_name} is no valid TOML: line {line}, column {column}: {reason}")]
    Syntax {
        /// The file, or `the settings` where it was a text.
        source_name: String,
        /// The line of the fault, from 1.
        line: usize,
        /// Its column in characters, from 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// Keys are unknown or values are bad.
    #[error(transparent)]
    Invalid(#[from] InvalidSettings),
}

/// Settings that cannot be used: every fault at once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidSettings {
    /// All faults, at least one.
    pub faults: Vec<SettingFault>,
}

impl InvalidSettings {
    /// The keys at fault, in the order of the faults.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.faults.iter().map(|fault| fault.key.as_str())
    }

    pub(super) fn unless_empty(faults: Vec<SettingFault>) -> Result<(), Self> {
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Self { faults })
        }
    }
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid settings: ")?;
        for (index, fault) in self.faults.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidSettings {}

/// One thing that is wrong with settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettingFault {
    /// The full path of the key, such as `rate_limiter.global_limits[0].window_ms`.
    pub key: String,
    /// What the key should hold, and what it holds.
    pub reason: String,
    /// The environment variable it came from, if it did.
    pub variable: Option<String>,
}

impl SettingFault {
    /// A fault of one key; an overlong reason is cut.
    pub(super) fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS) {
            reason.truncate(end);
            reason.push('…');
        }
        Self {
            key: key.into(),
            reason,
            variable: None,
        }
    }

    pub(super) fn of_variable(mut self, variable: &str) -> Self {
        self.variable = Some(variable.to_owned());
        self
    }
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(variable) = &self.variable {
            write!(f, " (from {variable})")?;
        }
        write!(f, ": {}", self.reason)
    }
}
