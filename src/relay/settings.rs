//! What can be set of the relay.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// For how long empty groups are kept, and how much clients may have the relay hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct RelaySettings {
    /// For how long a group without members stays joinable, in milliseconds; one hour by default (specification, section 21).
    pub empty_group_ttl_ms: u64,
    /// The pause between two sweeps of groups that have been empty for so long, in milliseconds; 60 000 by default. A
    /// group whose time is over is gone for clients at once; the sweep frees its memory.
    pub sweep_interval_ms: u64,
    /// How many groups there may be, empty ones included; 100 000 by default.
    pub max_groups: usize,
    /// How many members a group may have, waiting ones included; 1 000 by default. Each message is pushed to all of
    /// them in one go.
    pub max_members: usize,
    /// Over how many connections one member may be reached, such as windows of the same user; 16 by default.
    pub max_connections: usize,
    /// How many memberships one connection may hold; 100 by default.
    pub max_memberships: usize,
    /// How many bytes the JSON form of a message may have; 65 536 by default.
    pub max_message_bytes: usize,
    /// How many bytes a group id may have, and a user id that becomes a member; 256 by default.
    pub max_id_bytes: usize,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            empty_group_ttl_ms: 3_600_000,
            sweep_interval_ms: 60_000,
            max_groups: 100_000,
            max_members: 1_000,
            max_connections: 16,
            max_memberships: 100,
            max_message_bytes: 65_536,
            max_id_bytes: 256,
        }
    }
}

impl RelaySettings {
    pub(super) fn empty_group_ttl(&self) -> Duration {
        Duration::from_millis(self.empty_group_ttl_ms)
    }

    pub(super) fn sweep_interval(&self) -> Duration {
        Duration::from_millis(self.sweep_interval_ms)
    }
}
