//! The rules of one group, without locks, time or delivery: who is in it, as what, and who may do what.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::error::{RelayError, SendError};
use crate::model::connection::{Connection, ConnectionId};

/// Who may join a group, and whom a member needs for that (specification, section 21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupType {
    /// Who joins is active at once.
    Public,
    /// Who joins waits until an active member accepts.
    Private,
    /// Who joins waits until an admin accepts; admins can mute and unmute.
    StrictPrivate,
}

impl GroupType {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::StrictPrivate => "strict_private",
        }
    }
}

/// What a member of a group can do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MemberStatus {
    /// Sends and receives.
    Active,
    /// Waits to be accepted; neither sends nor receives.
    Pending,
    /// Receives, but does not send.
    Muted,
}

impl MemberStatus {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Muted => "muted",
        }
    }
}

/// What a member of a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MemberRole {
    /// The creator, who may do everything that the group's type knows.
    Admin,
    /// Everybody else.
    Member,
}

/// A group as it is now; its JSON form is what the function `Relay.info` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Its id.
    pub group_id: String,
    /// Its type.
    pub group_type: GroupType,
    /// Its members by user id.
    pub members: BTreeMap<String, MemberInfo>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemberInfo {
    /// What he can do at the moment.
    pub status: MemberStatus,
    /// What he is; there is always exactly one role so far.
    pub roles: Vec<MemberRole>,
}

/// The members of a group. Commands judge the actor before the target; the group was judged by whoever found it.
pub(super) struct Members {
    group_type: GroupType,
    by_user: BTreeMap<Arc<str>, Member>,
}

struct Member {
    status: MemberStatus,
    role: MemberRole,
    connections: Connections,
}

/// The connections of one member, at least one: mostly there is one window.
pub(super) type Connections = SmallVec<[Connection; 1]>;

/// A membership that is no more.
pub(super) struct Parted {
    pub(super) user_id: Arc<str>,
    pub(super) connections: Connections,
}

/// A member to whom a message goes.
pub(super) struct Recipient {
    pub(super) is_sender: bool,
    pub(super) connections: Connections,
}

impl Members {
    /// A group with its creator in it.
    pub(super) fn new(group_type: GroupType, creator: Arc<str>, connection: Connection) -> Self {
        let admin = Member {
            status: MemberStatus::Active,
            role: MemberRole::Admin,
            connections: smallvec![connection],
        };
        Self {
            group_type,
            by_user: BTreeMap::from([(creator, admin)]),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_user.len()
    }

    /// What the user would become by joining, without doing it. A muted member may join again, and waits again.
    pub(super) fn may_join(&self, user: &str, max: usize) -> Result<MemberStatus, RelayError> {
        match self.by_user.get(user).map(|member| member.status) {
            Some(MemberStatus::Active | MemberStatus::Pending) => Err(RelayError::AlreadyMember),
            None if self.len() >= max => Err(RelayError::GroupFull { max }),
            None | Some(MemberStatus::Muted) => Ok(match self.group_type {
                GroupType::Public => MemberStatus::Active,
                GroupType::Private | GroupType::StrictPrivate => MemberStatus::Pending,
            }),
        }
    }

    /// Adds the user as a plain member; the membership that this replaces is returned.
    pub(super) fn join(
        &mut self,
        user: Arc<str>,
        status: MemberStatus,
        connection: Connection,
    ) -> Option<Parted> {
        let member = Member {
            status,
            role: MemberRole::Member,
            connections: smallvec![connection],
        };
        let replaced = self.by_user.insert(Arc::clone(&user), member)?;
        Some(Parted {
            user_id: user,
            connections: replaced.connections,
        })
    }

    /// What the user is with a further connection, without adding it; `None` where he is no member.
    pub(super) fn may_attach(
        &self,
        user: &str,
        connection: &Connection,
        max: usize,
    ) -> Result<Option<MemberStatus>, RelayError> {
        let Some(member) = self.by_user.get(user) else {
            return Ok(None);
        };
        let connections = &member.connections;
        if connections.len() >= max && !connections.contains(connection) {
            return Err(RelayError::TooManyConnections { max });
        }
        Ok(Some(member.status))
    }

    /// Adds a connection of a member; adding it again changes nothing.
    pub(super) fn attach(&mut self, user: &str, connection: Connection) {
        if let Some(member) = self.by_user.get_mut(user)
            && !member.connections.contains(&connection)
        {
            member.connections.push(connection);
        }
    }

    pub(super) fn leave(&mut self, user: &str) -> Result<Parted, RelayError> {
        let (user_id, member) = self
            .by_user
            .remove_entry(user)
            .ok_or(RelayError::UserNotInGroup)?;
        Ok(Parted {
            user_id,
            connections: member.connections,
        })
    }

    /// Removes the connection, and with his last one the user; whether he has left.
    pub(super) fn leave_with(&mut self, user: &Arc<str>, connection: ConnectionId) -> bool {
        let Entry::Occupied(mut member) = self.by_user.entry(Arc::clone(user)) else {
            return false;
        };
        let connections = &mut member.get_mut().connections;
        connections.retain(|other| other.id() != connection);
        let has_left = connections.is_empty();
        if has_left {
            member.remove();
        }
        has_left
    }

    /// Removes everybody.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Parted> + use<> {
        let all = std::mem::take(&mut self.by_user).into_iter();
        all.map(|(user_id, member)| Parted {
            user_id,
            connections: member.connections,
        })
    }

    pub(super) fn accept(&mut self, actor: &str, target: &str) -> Result<(), RelayError> {
        let accepter = self.by_user.get(actor).ok_or(RelayError::UserNotInGroup)?;
        let needs_admin = self.group_type == GroupType::StrictPrivate;
        if !accepter.is_active() || (needs_admin && accepter.role != MemberRole::Admin) {
            return Err(RelayError::NotAdmin);
        }
        self.change(
            target,
            MemberStatus::Pending,
            MemberStatus::Active,
            RelayError::UserNotPending,
        )
    }

    pub(super) fn mute(&mut self, actor: &str, target: &str) -> Result<(), RelayError> {
        self.may_mute(actor)?;
        self.change(
            target,
            MemberStatus::Active,
            MemberStatus::Muted,
            RelayError::CannotMute,
        )
    }

    pub(super) fn unmute(&mut self, actor: &str, target: &str) -> Result<(), RelayError> {
        self.may_mute(actor)?;
        self.change(
            target,
            MemberStatus::Muted,
            MemberStatus::Active,
            RelayError::NotMuted,
        )
    }

    /// Whether the user is an admin who is not muted.
    pub(super) fn judge_admin(&self, user: &str) -> Result<(), RelayError> {
        match self.by_user.get(user) {
            Some(member) if member.is_active() && member.role == MemberRole::Admin => Ok(()),
            _ => Err(RelayError::NotAdmin),
        }
    }

    /// Whether the user may see who is in the group: everybody who could be in it without being asked.
    pub(super) fn judge_viewer(&self, user: &str) -> Result<(), RelayError> {
        let member = self.by_user.get(user);
        if self.group_type == GroupType::Public || member.is_some_and(Member::receives) {
            Ok(())
        } else {
            Err(RelayError::UserNotInGroup)
        }
    }

    /// Whom a message of this sender goes to: all who receive, the sender included.
    pub(super) fn recipients(&self, sender: &str) -> Result<Vec<Recipient>, SendError> {
        match self.by_user.get(sender).map(|member| member.status) {
            None => Err(SendError::NotAMember),
            Some(MemberStatus::Pending) => Err(SendError::Pending),
            Some(MemberStatus::Muted) => Err(SendError::Muted),
            Some(MemberStatus::Active) => {
                let receivers = self.by_user.iter().filter(|(_, member)| member.receives());
                let recipients = receivers.map(|(user, member)| Recipient {
                    is_sender: **user == *sender,
                    connections: member.connections.clone(),
                });
                Ok(recipients.collect())
            }
        }
    }

    pub(super) fn info(&self, group_id: &str) -> GroupInfo {
        let members = self.by_user.iter().map(|(user, member)| {
            let info = MemberInfo {
                status: member.status,
                roles: vec![member.role],
            };
            (user.to_string(), info)
        });
        GroupInfo {
            group_id: group_id.to_owned(),
            group_type: self.group_type,
            members: members.collect(),
        }
    }

    fn may_mute(&self, actor: &str) -> Result<(), RelayError> {
        if self.group_type != GroupType::StrictPrivate {
            return Err(RelayError::NotStrictPrivate);
        }
        self.judge_admin(actor)
    }

    fn change(
        &mut self,
        target: &str,
        from: MemberStatus,
        to: MemberStatus,
        otherwise: RelayError,
    ) -> Result<(), RelayError> {
        let member = self.by_user.get_mut(target);
        let member = member.ok_or(RelayError::UserNotInGroup)?;
        if member.status != from {
            return Err(otherwise);
        }
        member.status = to;
        Ok(())
    }
}

impl Member {
    fn is_active(&self) -> bool {
        self.status == MemberStatus::Active
    }

    fn receives(&self) -> bool {
        matches!(self.status, MemberStatus::Active | MemberStatus::Muted)
    }
}
