//! Relay groups.

/// What happened to relay groups (specification, section 21). A command that was refused is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayEvent<'a> {
    /// A group was created, with its first member.
    #[non_exhaustive]
    Created {
        /// The group.
        group_id: &'a str,
        /// Its type: `public`, `private` or `strict_private`.
        group_type: &'a str,
        /// Its creator and admin.
        user_id: &'a str,
        /// How many groups there are now, this one included.
        groups: usize,
    },
    /// A group was deleted.
    #[non_exhaustive]
    Deleted {
        /// The group.
        group_id: &'a str,
        /// How many members it had.
        members: usize,
        /// How many groups there are now.
        groups: usize,
    },
    /// A user joined a group, or a muted member joined it again.
    #[non_exhaustive]
    Joined {
        /// The group.
        group_id: &'a str,
        /// The user.
        user_id: &'a str,
        /// As what: `active` or `pending`.
        status: &'a str,
    },
    /// A member left a group.
    #[non_exhaustive]
    Left {
        /// The group.
        group_id: &'a str,
        /// Who left.
        user_id: &'a str,
        /// Why.
        cause: LeaveCause,
    },
    /// A waiting member was accepted.
    #[non_exhaustive]
    Accepted {
        /// The group.
        group_id: &'a str,
        /// Who accepted.
        actor_id: &'a str,
        /// Who was accepted.
        user_id: &'a str,
    },
    /// A member was muted.
    #[non_exhaustive]
    Muted {
        /// The group.
        group_id: &'a str,
        /// The admin.
        actor_id: &'a str,
        /// Who was muted.
        user_id: &'a str,
    },
    /// A member's mute was lifted.
    #[non_exhaustive]
    Unmuted {
        /// The group.
        group_id: &'a str,
        /// The admin.
        actor_id: &'a str,
        /// Whose mute it was.
        user_id: &'a str,
    },
    /// A message was sent to a group.
    #[non_exhaustive]
    Sent {
        /// The group.
        group_id: &'a str,
        /// The sender.
        user_id: &'a str,
        /// To how many members, the sender included.
        recipients: usize,
        /// How many of them it did not reach: their connections were full or gone.
        missed: usize,
    },
    /// Groups that had been empty for long were forgotten.
    #[non_exhaustive]
    Cleanup {
        /// How many went.
        removed: usize,
        /// How many stayed.
        remaining: usize,
    },
}

/// Why a member left a relay group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaveCause {
    /// By a command.
    Asked,
    /// The member's connection ended.
    ConnectionEnded,
}

impl LeaveCause {
    /// Its name in snake case, for labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::ConnectionEnded => "connection_ended",
        }
    }
}

pub(super) const NAMES: &[&str] = &[
    "gen_api.relay.group.created",
    "gen_api.relay.group.deleted",
    "gen_api.relay.member.joined",
    "gen_api.relay.member.left",
    "gen_api.relay.member.accepted",
    "gen_api.relay.member.muted",
    "gen_api.relay.member.unmuted",
    "gen_api.relay.message.sent",
    "gen_api.relay.cleanup",
];

impl RelayEvent<'_> {
    /// Its name, such as `gen_api.relay.message.sent`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "gen_api.relay.group.created",
            Self::Deleted { .. } => "gen_api.relay.group.deleted",
            Self::Joined { .. } => "gen_api.relay.member.joined",
            Self::Left { .. } => "gen_api.relay.member.left",
            Self::Accepted { .. } => "gen_api.relay.member.accepted",
            Self::Muted { .. } => "gen_api.relay.member.muted",
            Self::Unmuted { .. } => "gen_api.relay.member.unmuted",
            Self::Sent { .. } => "gen_api.relay.message.sent",
            Self::Cleanup { .. } => "gen_api.relay.cleanup",
        }
    }
}
