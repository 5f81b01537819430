//! Why a registry refuses a key.

use std::fmt;

/// The key belongs to another live actor, or to the caller already.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlreadyRegistered<T> {
    /// Who has it.
    pub holder: T,
}

impl<T> fmt::Display for AlreadyRegistered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key is already registered by a live actor")
    }
}

impl<T> fmt::Debug for AlreadyRegistered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlreadyRegistered(..)")
    }
}

impl<T> std::error::Error for AlreadyRegistered<T> {}
