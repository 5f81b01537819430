//! The actor around the table: typed messages for every verb, and the timer of the sweep.

use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture,
    fut::wrap_future,
};
use actix_otp::ChildSpec;
use serde_json::Value;

use super::{
    RelayRef, Sent, Swept,
    error::{RelayError, SendError},
    group::{GroupInfo, GroupType, MemberStatus},
    table::RelayTable,
};
use crate::model::connection::Connection;

/// Takes the verbs of [`RelayRef`] as messages, and forgets groups that have stood empty; a supervised child of the engine.
///
/// Messages about one group are carried out in the order in which they came.
#[derive(Debug)]
pub struct Relay {
    table: Arc<RelayTable>,
}

impl Relay {
    fn new(table: Arc<RelayTable>) -> Self {
        Self { table }
    }

    /// The actor as a child of a supervisor, with the door to its table.
    pub(crate) fn child(table: Arc<RelayTable>) -> (ChildSpec<Self>, RelayRef) {
        let spec = {
            let table = Arc::clone(&table);
            ChildSpec::new("relay", move || Self::new(Arc::clone(&table)))
        };
        let actor = spec.child_ref();
        (spec, RelayRef { actor, table })
    }

    fn sweep_after_pause(&self, ctx: &mut Context<Self>) {
        let pause = self.table.settings().sweep_interval();
        let pause = wrap_future::<_, Self>(self.table.clock().sleep(pause));
        ctx.spawn(pause.map(|(), actor, ctx| {
            let swept = actor.table.sweep();
            tracing::debug!(?swept, "swept the relay groups");
            actor.sweep_after_pause(ctx);
        }));
    }
}

impl Actor for Relay {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sweep_after_pause(ctx);
    }
}

/// [`RelayRef::create`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), RelayError>")]
pub struct CreateGroup {
    /// The group.
    pub group_id: String,
    /// Its type.
    pub group_type: GroupType,
    /// Its creator and admin.
    pub user_id: String,
    /// Over which he is reached.
    pub connection: Connection,
}

/// [`RelayRef::join`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<MemberStatus, RelayError>")]
pub struct JoinGroup {
    /// The group.
    pub group_id: String,
    /// Who joins.
    pub user_id: String,
    /// Over which he is reached.
    pub connection: Connection,
}

/// [`RelayRef::leave`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), RelayError>")]
pub struct LeaveGroup {
    /// The group.
    pub group_id: String,
    /// Who leaves.
    pub user_id: String,
}

/// [`RelayRef::accept`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), RelayError>")]
pub struct AcceptMember {
    /// The group.
    pub group_id: String,
    /// On whose behalf.
    pub actor_id: String,
    /// Who is accepted.
    pub user_id: String,
}

/// [`RelayRef::mute`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), RelayError>")]
pub struct MuteMember {
    /// The group.
    pub group_id: String,
    /// On whose behalf.
    pub actor_id: String,
    /// Who is muted.
    pub user_id: String,
}

/// [`RelayRef::unmute`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), RelayError>")]
pub struct UnmuteMember {
    /// The group.
    pub group_id: String,
    /// On whose behalf.
    pub actor_id: String,
    /// Whose mute is lifted.
    pub user_id: String,
}

/// [`RelayRef::send`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Sent, SendError>")]
pub struct SendMessage {
    /// The group.
    pub group_id: String,
    /// The sender.
    pub user_id: String,
    /// What is sent.
    pub message: Value,
    /// Under which request id members get it.
    pub request_id: String,
}

/// [`RelayRef::info`] as a message, or [`RelayRef::info_for`] where a viewer is named.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<GroupInfo, RelayError>")]
pub struct GetGroupInfo {
    /// The group.
    pub group_id: String,
    /// For whose eyes.
    pub viewer_id: Option<String>,
}

/// [`RelayRef::delete`] as a message, or [`RelayRef::delete_by`] where an actor is named.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), RelayError>")]
pub struct DeleteGroup {
    /// The group.
    pub group_id: String,
    /// On whose behalf.
    pub actor_id: Option<String>,
}

/// [`RelayRef::sweep`] as a message; the timer goes on as before.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Swept")]
pub struct SweepGroups;

/// Each message is answered by the verb of the table, in a task of its own: the actor waits for nobody's turn.
macro_rules! answer {
    ($($message:ty: |$table:ident, $parts:pat_param| $answer:expr;)+) => {$(
        impl Handler<$message> for Relay {
            type Result = ResponseFuture<<$message as Message>::Result>;

            fn handle(&mut self, $parts: $message, _: &mut Self::Context) -> Self::Result {
                let $table = Arc::clone(&self.table);
                Box::pin(async move { $answer })
            }
        }
    )+};
}

answer! {
    JoinGroup: |table, JoinGroup { group_id, user_id, connection }|
        table.join(&group_id, &user_id, connection).await;
    LeaveGroup: |table, LeaveGroup { group_id, user_id }| table.leave(&group_id, &user_id).await;
    AcceptMember: |table, AcceptMember { group_id, actor_id, user_id }|
        table.accept(&group_id, &actor_id, &user_id).await;
    MuteMember: |table, MuteMember { group_id, actor_id, user_id }|
        table.mute(&group_id, &actor_id, &user_id).await;
    UnmuteMember: |table, UnmuteMember { group_id, actor_id, user_id }|
        table.unmute(&group_id, &actor_id, &user_id).await;
    SendMessage: |table, SendMessage { group_id, user_id, message, request_id }|
        table.send(&group_id, &user_id, message, &request_id).await;
    DeleteGroup: |table, DeleteGroup { group_id, actor_id }|
        table.delete(&group_id, actor_id.as_deref()).await;
    GetGroupInfo: |table, GetGroupInfo { group_id, viewer_id }|
        table.info(&group_id, viewer_id.as_deref());
    CreateGroup: |table, CreateGroup { group_id, group_type, user_id, connection }|
        table.create(&group_id, group_type, &user_id, connection);
}

impl Handler<SweepGroups> for Relay {
    type Result = MessageResult<SweepGroups>;

    fn handle(&mut self, SweepGroups: SweepGroups, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.table.sweep())
    }
}
