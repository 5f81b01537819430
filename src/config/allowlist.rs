//! Which functions a config may name (specification, sections 11 and 18).

use serde::{Deserialize, Serialize};

use crate::model::{FunConfig, Mfa};

/// The functions that configs may name: to be called, as hooks, as permission callbacks and as resolvers. The default allows
/// every function; a list without entries allows none.
///
/// ```
/// use gen_api::{config::{AllowedFunction, Allowlist}, model::Mfa};
///
/// let list = Allowlist::new([
///     AllowedFunction::Module("Users".into()),
///     AllowedFunction::Function("Orders".into(), "list".into()),
/// ]);
/// assert!(list.allows(&Mfa::new("Users", "delete")));
/// assert!(!list.allows(&Mfa::new("Orders", "delete")));
/// assert!(!Allowlist::new([]).allows(&Mfa::new("Users", "delete")));
/// assert!(Allowlist::default().allows(&Mfa::new("Users", "delete")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Allowlist {
    /// `None` where nothing was said, which is not the same as allowing nothing.
    entries: Option<Vec<AllowedFunction>>,
}

/// One entry of an [`Allowlist`]: a module's name, or `[module, function]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a module's name or [module, function]")]
#[non_exhaustive]
pub enum AllowedFunction {
    /// Every function of a module.
    Module(String),
    /// One function of a module.
    Function(String, String),
}

impl Allowlist {
    /// A list of these entries, and of no other function.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = AllowedFunction>) -> Self {
        Self {
            entries: Some(entries.into_iter().collect()),
        }
    }

    /// The entries, in their order; none where every function is allowed.
    #[must_use]
    pub fn entries(&self) -> &[AllowedFunction] {
        self.entries.as_deref().unwrap_or_default()
    }

    /// The functions that a config names and may not.
    pub(super) fn refused<'c>(&self, config: &'c FunConfig) -> impl Iterator<Item = &'c Mfa> {
        config
            .named_functions()
            .filter(|function| !self.allows(function))
    }

    /// Whether a config may name this function.
    #[must_use]
    pub fn allows(&self, mfa: &Mfa) -> bool {
        let Some(entries) = &self.entries else {
            return true;
        };
        entries.iter().any(|entry| match entry {
            AllowedFunction::Module(module) => *module == mfa.module,
            AllowedFunction::Function(module, function) => {
                *module == mfa.module && *function == mfa.function
            }
        })
    }
}
