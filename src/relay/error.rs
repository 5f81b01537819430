//! Why the relay refuses a command.

/// Why a command on a group was refused. Nothing has changed then.
///
/// Commands are judged in this order: the group, the actor, the target (specification, section 21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The group's id is taken.
    #[error("a group with this id exists already")]
    AlreadyExists,
    /// There is no such group.
    #[error("there is no group with this id")]
    NotFound,
    /// Muting and unmuting are known to groups of the type `strict_private` only.
    #[error("only strict_private groups know muting")]
    NotStrictPrivate,
    /// The actor may not do that: it takes an admin, or an active member, who is not muted himself.
    #[error("the actor may not do that in this group")]
    NotAdmin,
    /// The user who leaves, the actor who accepts or the target is no member.
    #[error("the user is not in the group")]
    UserNotInGroup,
    /// The user is a member already, or waits to become one.
    #[error("the user is in the group already")]
    AlreadyMember,
    /// Only who waits can be accepted.
    #[error("the user does not wait to be accepted")]
    UserNotPending,
    /// Only active members can be muted.
    #[error("the user is not active, so cannot be muted")]
    CannotMute,
    /// Only muted members can be unmuted.
    #[error("the user is not muted")]
    NotMuted,
    /// The member's connection has ended.
    #[error("the connection has ended")]
    ConnectionEnded,
    /// An id is empty, or longer than the setting `relay.max_id_bytes`.
    #[error("{field} must have 1 to {max_bytes} bytes")]
    InvalidId {
        /// Which one: `group_id` or `user_id`.
        field: &'static str,
        /// The setting.
        max_bytes: usize,
    },
    /// There are as many groups as the setting `relay.max_groups` allows.
    #[error("there are {max} groups, and no more are allowed")]
    TooManyGroups {
        /// The setting.
        max: usize,
    },
    /// The group has as many members as the setting `relay.max_members` allows.
    #[error("the group has {max} members, and no more are allowed")]
    GroupFull {
        /// The setting.
        max: usize,
    },
    /// The member is reached over as many connections as the setting `relay.max_connections` allows.
    #[error("the member has {max} connections, and no more are allowed")]
    TooManyConnections {
        /// The setting.
        max: usize,
    },
    /// The connection holds as many memberships as the setting `relay.max_memberships` allows.
    #[error("the connection is in {max} groups, and no more are allowed")]
    TooManyMemberships {
        /// The setting.
        max: usize,
    },
}

impl RelayError {
    /// The stable name of the error, which clients read, such as `already_member`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyExists => "already_exists",
            Self::NotFound => "not_found",
            Self::NotStrictPrivate => "not_strict_private",
            Self::NotAdmin => "not_admin",
            Self::UserNotInGroup => "user_not_in_group",
            Self::AlreadyMember => "already_member",
            Self::UserNotPending => "user_not_pending",
            Self::CannotMute => "cannot_mute",
            Self::NotMuted => "not_muted",
            Self::ConnectionEnded => "connection_ended",
            Self::InvalidId { .. } => "invalid_id",
            Self::TooManyGroups { .. } => "too_many_groups",
            Self::GroupFull { .. } => "group_full",
            Self::TooManyConnections { .. } => "too_many_connections",
            Self::TooManyMemberships { .. } => "too_many_memberships",
        }
    }
}

/// Why a message was not sent. Its text is what the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such group.
    #[error("Group not found")]
    GroupNotFound,
    /// The sender is no member.
    #[error("Not a member of this group")]
    NotAMember,
    /// The sender was not accepted yet.
    #[error("Pending membership: wait for acceptance")]
    Pending,
    /// The sender is muted.
    #[error("You are muted and cannot send messages")]
    Muted,
    /// The message's JSON form is longer than the setting `relay.max_message_bytes`.
    #[error("Message is too large: at most {max_bytes} bytes are allowed")]
    TooLarge {
        /// The setting.
        max_bytes: usize,
    },
}
