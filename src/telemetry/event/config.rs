//! Changes of the configs.

use std::time::Duration;

use super::Reason;

/// What happened to the configs (specification, sections 11 to 13). A single change that was refused is no event.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ConfigEvent<'a> {
    /// The pull of a service begins.
    #[non_exhaustive]
    PullStart {
        /// The service.
        service: &'a str,
    },
    /// The pull of a service is over.
    #[non_exhaustive]
    PullStop {
        /// The service.
        service: &'a str,
        /// How long it took.
        duration: Duration,
        /// How many configs were stored; none where the version was unchanged.
        stored: usize,
        /// How many were refused.
        rejected: usize,
        /// Why the pull failed as a whole, where it did.
        error: Option<Reason<'a>>,
    },
    /// A service node pushed its configs.
    #[non_exhaustive]
    Push {
        /// The service.
        service: &'a str,
        /// The version of its configs.
        config_version: &'a str,
        /// How many configs were stored; none where the version was unchanged.
        stored: usize,
        /// Why the push was refused, where it was.
        error: Option<Reason<'a>>,
    },
    /// A config was added, or replaced one of the same key.
    #[non_exhaustive]
    Add {
        /// The service.
        service: &'a str,
        /// The function.
        request_type: &'a str,
        /// The version; none for an unversioned config.
        version: Option<&'a str>,
    },
    /// Several configs were added in one step.
    #[non_exhaustive]
    BatchAdd {
        /// How many were stored.
        stored: usize,
        /// How many were not.
        rejected: usize,
    },
    /// A config was forgotten, if it was there.
    #[non_exhaustive]
    Delete {
        /// The service.
        service: &'a str,
        /// The function.
        request_type: &'a str,
        /// The version; none for an unversioned config.
        version: Option<&'a str>,
    },
    /// All configs were forgotten.
    Clear,
    /// A config was switched on.
    #[non_exhaustive]
    Enable {
        /// The service.
        service: &'a str,
        /// The function.
        request_type: &'a str,
        /// The version; none for an unversioned config.
        version: Option<&'a str>,
    },
    /// A config was switched off.
    #[non_exhaustive]
    Disable {
        /// The service.
        service: &'a str,
        /// The function.
        request_type: &'a str,
        /// The version; none for an unversioned config.
        version: Option<&'a str>,
    },
}

pub(super) const NAMES: &[&str] = &[
    "gen_api.config.pull.start",
    "gen_api.config.pull.stop",
    "gen_api.config.push",
    "gen_api.config.add",
    "gen_api.config.batch_add",
    "gen_api.config.delete",
    "gen_api.config.clear",
    "gen_api.config.enable",
    "gen_api.config.disable",
];

impl ConfigEvent<'_> {
    /// Its name, such as `gen_api.config.add`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PullStart { .. } => "gen_api.config.pull.start",
            Self::PullStop { .. } => "gen_api.config.pull.stop",
            Self::Push { .. } => "gen_api.config.push",
            Self::Add { .. } => "gen_api.config.add",
            Self::BatchAdd { .. } => "gen_api.config.batch_add",
            Self::Delete { .. } => "gen_api.config.delete",
            Self::Clear => "gen_api.config.clear",
            Self::Enable { .. } => "gen_api.config.enable",
            Self::Disable { .. } => "gen_api.config.disable",
        }
    }
}
