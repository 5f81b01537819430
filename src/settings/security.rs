//! Who may do what, and what clients are told (specification, section 18).

use serde::{Deserialize, Serialize};

use crate::{config::Allowlist, model::PushToken};

/// The security settings. `Debug` hides the push token; the serialized form holds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct SecuritySettings {
    /// Whether clients are told the reason of an internal error; false by default.
    pub detail_error: bool,
    /// The secret that a service node needs for a push (specification, section 13). Not empty; by default none is asked for.
    pub push_token: Option<PushToken>,
    /// The functions that configs may name, to be called and as hooks, permission callbacks and resolvers; all by default.
    pub function_allowlist: Allowlist,
    /// What may be changed at runtime through remote or web doors; nothing by default.
    pub admin_actions: Vec<AdminAction>,
}

impl SecuritySettings {
    /// Whether a remote or web door may do this.
    #[must_use]
    pub fn allows(&self, action: AdminAction) -> bool {
        self.admin_actions.contains(&action)
    }
}

/// Something that a remote or web door may be allowed to change. The program that embeds the engine may always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AdminAction {
    /// Switch functions on and off.
    SwitchFunctions,
    /// Add, replace, delete and clear configs.
    ChangeConfigs,
    /// Add, delete and forget services of the puller and the receiver.
    ChangeServices,
    /// Pull now, with or without a look at versions.
    Pull,
    /// Set, add and remove rate limits.
    ChangeRateLimits,
    /// Forget what a key has used of its rate limits.
    ResetRateLimits,
    /// End open streams.
    StopStreams,
}
