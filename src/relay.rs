//! The relay: groups of users who send each other messages through the gateway (specification, section 21).
//!
//! A member of a group is a user with the [connection](crate::connection) that he joined over, and those that were
//! [attached](RelayRef::attach) since: the windows and devices of one user. A message to a group is pushed to all
//! connections of every member who is active or muted, the sender included, and all of them get the messages of a group in
//! the same order. The sender's own message comes after the reply to the request that sent it, where the door says in
//! which order they leave.
//!
//! ```
//! use gen_api::{GenApi, connection::{Connection, Outlet, PushError}, model::{Request, Response}};
//! use serde_json::json;
//!
//! struct Screen;
//!
//! impl Outlet for Screen {
//!     fn push(&self, response: Response) -> Result<(), PushError> {
//!         println!("{}", response.result);
//!         Ok(())
//!     }
//! }
//!
//! let api = GenApi::builder().relay("chat").start_blocking()?;
//! let ann = Connection::new(Screen);
//! let ask = |request_type: &str| {
//!     let request = Request::new("r-1", "chat", request_type).with_user_id("ann");
//!     request.with_connection(ann.clone()).with_arg("group_id", "tea")
//! };
//! api.block_on(api.execute(ask("create_group").with_arg("group_type", "public")));
//! let sent = api.block_on(api.execute(ask("relay_msg").with_arg("message", "Hello!")));
//! let result = sent.response.map(|response| response.result);
//! assert_eq!(result, Some(json!({"status": "relayed", "recipients_count": 1})));
//! # Ok::<(), gen_api::StartApiError>(())
//! ```
//!
//! # What clients can ask for
//!
//! The engine registers these functions in the module `Relay`. [`GenApiBuilder::relay`](crate::GenApiBuilder::relay)
//! offers all of them under one service, and [`configs`] makes the same configs for those who want to change them first:
//! other names, permissions, hooks. The acting user is the request's, so a config must not let anonymous requests in, and
//! doors must not let clients choose their user id.
//!
//! | function | request type | arguments | answer |
//! |---|---|---|---|
//! | `Relay.create` | `create_group` | `group_id`, `group_type` | `"ok"` |
//! | `Relay.join` | `join_group` | `group_id` | `{"joined": "active"}` or `{"joined": "pending"}` |
//! | `Relay.attach` | `attach_to_group` | `group_id` | as `Relay.join`, also for a member |
//! | `Relay.leave` | `leave_group` | `group_id` | `"ok"` |
//! | `Relay.accept` | `accept_member` | `group_id`, `user_id` | `"ok"` |
//! | `Relay.mute` | `mute_member` | `group_id`, `user_id` | `"ok"` |
//! | `Relay.unmute` | `unmute_member` | `group_id`, `user_id` | `"ok"` |
//! | `Relay.send` | `relay_msg` | `group_id`, `message` (any JSON) | `{"status": "relayed", "recipients_count": n}` |
//! | `Relay.info` | `get_group_info` | `group_id` | a [`GroupInfo`] |
//! | `Relay.delete` | `delete_group` | `group_id` | `"ok"` |
//!
//! The text of an error is its [`RelayError::code`], such as `already_member`, and for `Relay.send` that of a
//! [`SendError`]; `Authentication required` where the request has no user, and `no_connection` where creating or joining
//! has no connection. A message reaches members as a response with the sender's request id and the result
//! `{"group_id", "from_user_id", "message", "timestamp"}`, the time in RFC 3339 to the millisecond.
//!
//! The embedder's own code has the same verbs on [`GenApi::relay`](crate::GenApi::relay), and functions get that handle
//! as [`State<RelayRef>`](crate::function::State).
//!
//! # Beyond the specification
//!
//! - Whoever joins again after a mute is a plain member then, an admin too.
//! - `Relay.info` of a public group is for everybody; of the others for active and muted members only, since anybody may ask
//!   to join. `Relay.delete` is for admins who are not muted; a group without one goes when it has stood empty.
//! - A waiting member counts as a member: a group with one is not empty.
//! - `Relay.join` refuses a user who is a member over another connection; `Relay.attach` adds the connection. A member
//!   leaves when his last connection ends, or, with all of them, when he asks to.
//! - A member whose connections are full misses the message and stays; one whose last connection is gone leaves.
//! - An outlet that panics counts as gone.
//! - The order is one for each group. Who sends to two groups finds no common order in them.
//! - How much clients can make the relay hold is bounded by [`RelaySettings`]. Empty groups count until their time is over,
//!   so limit how often a user may create groups.
//!
//! # When actors die
//!
//! Groups live in a table that belongs to the engine. Commands work on it directly and the end of a connection is told to it
//! by whoever ends the connection, so none of them waits for the [`Relay`] actor, and its death loses nothing: it takes
//! the verbs as messages and forgets groups that have stood empty.

mod actor;
mod error;
mod functions;
mod group;
mod memberships;
mod settings;
mod table;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use actix_otp::ChildRef;
use serde_json::Value;

pub use self::{
    actor::{
        AcceptMember, AttachToGroup, CreateGroup, DeleteGroup, GetGroupInfo, JoinGroup, LeaveGroup,
        MuteMember, Relay, SendMessage, SweepGroups, UnmuteMember,
    },
    error::{RelayError, SendError},
    functions::{MODULE, configs},
    group::{GroupInfo, GroupType, MemberInfo, MemberRole, MemberStatus},
    settings::RelaySettings,
};
pub(crate) use self::{functions::register, table::RelayTable};
use crate::model::connection::Connection;

/// The door to the relay: cheap to clone, and usable from any thread and any runtime. Clones share everything.
///
/// A verb waits while other commands on the same group are carried out, in the order in which they came. One that is
/// dropped while it waits has done nothing.
#[derive(Clone)]
pub struct RelayRef {
    actor: ChildRef<Relay>,
    table: Arc<RelayTable>,
}

/// How far a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// How many members it was for, the sender included.
    pub recipients: usize,
    /// How many of them it did not reach: all their connections were full or gone.
    pub missed: usize,
}

/// What a sweep of empty groups did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// How many groups were forgotten.
    pub removed: usize,
    /// How many stayed.
    pub remaining: usize,
}

impl RelayRef {
    /// The actor that takes the verbs as messages.
    #[must_use]
    pub fn actor(&self) -> &ChildRef<Relay> {
        &self.actor
    }

    /// Creates a group; the creator is its admin and first member, reached over `connection`.
    ///
    /// # Errors
    ///
    /// [`RelayError`]: the id is taken or not valid, there are too many groups or memberships, the connection has ended.
    // Async like the other verbs, although a group that is not there yet has no turns to wait for.
    pub async fn create(
        &self,
        group_id: &str,
        group_type: GroupType,
        user_id: &str,
        connection: Connection,
    ) -> Result<(), RelayError> {
        self.table.create(group_id, group_type, user_id, connection)
    }

    /// Makes a user a member who is reached over `connection`: active at once in a public group, waiting in others. A
    /// muted member may join again, over the same connection or another, and waits again.
    ///
    /// # Errors
    ///
    /// [`RelayError`]: there is no such group, the user is in it, it is full, the user id is not valid, the connection
    /// holds too many memberships or has ended.
    pub async fn join(
        &self,
        group_id: &str,
        user_id: &str,
        connection: Connection,
    ) -> Result<MemberStatus, RelayError> {
        self.table.join(group_id, user_id, connection).await
    }

    /// Has a user hear a group over `connection`: joins as [`join`](Self::join) does, or adds the connection to those that a
    /// member has, whatever his status. A member leaves when the last of them ends.
    ///
    /// For further windows of a user, and for callbacks that enrol the client they are called for.
    ///
    /// # Errors
    ///
    /// [`RelayError`]: there is no such group, it is full, the user id is not valid, the member has too many connections,
    /// the connection holds too many memberships or has ended.
    pub async fn attach(
        &self,
        group_id: &str,
        user_id: &str,
        connection: Connection,
    ) -> Result<MemberStatus, RelayError> {
        self.table.attach(group_id, user_id, connection).await
    }

    /// Ends a membership, with all its connections; nothing is pushed to it after this returns.
    ///
    /// # Errors
    ///
    /// [`RelayError::NotFound`], [`RelayError::UserNotInGroup`].
    pub async fn leave(&self, group_id: &str, user_id: &str) -> Result<(), RelayError> {
        self.table.leave(group_id, user_id).await
    }

    /// Makes a waiting member active, on behalf of an active member, in a `strict_private` group of an admin.
    ///
    /// # Errors
    ///
    /// [`RelayError`]: there is no such group, the actor may not, the target does not wait.
    pub async fn accept(
        &self,
        group_id: &str,
        actor_id: &str,
        user_id: &str,
    ) -> Result<(), RelayError> {
        self.table.accept(group_id, actor_id, user_id).await
    }

    /// Lets an active member of a `strict_private` group receive only, on behalf of an admin, who may name himself.
    ///
    /// # Errors
    ///
    /// [`RelayError`]: there is no such group or it is of another type, the actor may not, the target is not active.
    pub async fn mute(
        &self,
        group_id: &str,
        actor_id: &str,
        user_id: &str,
    ) -> Result<(), RelayError> {
        self.table.mute(group_id, actor_id, user_id).await
    }

    /// Lets a muted member send again, on behalf of an admin.
    ///
    /// # Errors
    ///
    /// [`RelayError`]: there is no such group or it is of another type, the actor may not, the target is not muted.
    pub async fn unmute(
        &self,
        group_id: &str,
        actor_id: &str,
        user_id: &str,
    ) -> Result<(), RelayError> {
        self.table.unmute(group_id, actor_id, user_id).await
    }

    /// Pushes a message to all active and muted members, under the request id of the sender. Where that request is still
    /// without its reply, the sender gets the message [after it](Connection::push_after_reply).
    ///
    /// A member whose connection is full misses it, one whose connection is gone leaves; neither is an error, and neither
    /// makes the others wait.
    ///
    /// # Errors
    ///
    /// [`SendError`]: there is no such group, the sender is no active member, the message is too large.
    pub async fn send(
        &self,
        group_id: &str,
        user_id: &str,
        message: impl Into<Value>,
        request_id: &str,
    ) -> Result<Sent, SendError> {
        self.table
            .send(group_id, user_id, message.into(), request_id)
            .await
    }

    /// The type and members of a group, whoever asks.
    ///
    /// # Errors
    ///
    /// [`RelayError::NotFound`].
    pub fn info(&self, group_id: &str) -> Result<GroupInfo, RelayError> {
        self.table.info(group_id, None)
    }

    /// The type and members of a group, for a user: everybody may look into a public group, active and muted members into
    /// the others.
    ///
    /// # Errors
    ///
    /// [`RelayError::NotFound`], [`RelayError::UserNotInGroup`].
    pub fn info_for(&self, group_id: &str, user_id: &str) -> Result<GroupInfo, RelayError> {
        self.table.info(group_id, Some(user_id))
    }

    /// Deletes a group, whoever asks; its id is free again.
    ///
    /// # Errors
    ///
    /// [`RelayError::NotFound`].
    pub async fn delete(&self, group_id: &str) -> Result<(), RelayError> {
        self.table.delete(group_id, None).await
    }

    /// Deletes a group on behalf of an admin.
    ///
    /// # Errors
    ///
    /// [`RelayError::NotFound`], [`RelayError::NotAdmin`].
    pub async fn delete_by(&self, group_id: &str, actor_id: &str) -> Result<(), RelayError> {
        self.table.delete(group_id, Some(actor_id)).await
    }

    /// How many groups there are, those that stand empty included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.count()
    }

    /// Forgets the groups that have been empty for longer than the setting `relay.empty_group_ttl_ms`. The [`Relay`] actor
    /// does this by itself at every `relay.sweep_interval_ms`.
    pub fn sweep(&self) -> Swept {
        self.table.sweep()
    }
}

impl fmt::Debug for RelayRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayRef")
            .field("groups", &self.count())
            .finish_non_exhaustive()
    }
}
