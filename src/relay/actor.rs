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

/// [`RelayRef::attach`] as a message.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<MemberStatus, RelayError>")]
pub struct AttachToGroup {
    /// The group.
    pub group_id: String,
    /// Who hears it.
    pub user_id: String,
    /// Over which he is reached too.
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
    AttachToGroup: |table, AttachToGroup { group_id, user_id, connection }|
        table.attach(&group_id, &user_id, connection).await;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix::Addr;

    use super::*;
    use crate::{
        clock::ManualClock,
        model::{
            Response,
            connection::{Outlet, PushError},
        },
        relay::RelaySettings,
        telemetry::Telemetry,
    };

    /// Takes every response and keeps none.
    struct Taker;

    impl Outlet for Taker {
        fn push(&self, _: Response) -> Result<(), PushError> {
            Ok(())
        }
    }

    fn open() -> Connection {
        Connection::new(Taker)
    }

    fn started() -> (Arc<RelayTable>, ManualClock, Addr<Relay>) {
        let clock = ManualClock::new();
        let settings = RelaySettings {
            empty_group_ttl_ms: 1_000,
            sweep_interval_ms: 300,
            ..RelaySettings::default()
        };
        let table = RelayTable::new(settings, Arc::new(clock.clone()), Telemetry::new());
        let actor = Relay::new(Arc::clone(&table)).start();
        (table, clock, actor)
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Crash;

    impl Handler<Crash> for Relay {
        type Result = ();

        fn handle(&mut self, Crash: Crash, _: &mut Self::Context) {
            panic!("crashed on purpose");
        }
    }

    /// Lets the actor work until `done`; far more turns than it ever needs.
    async fn until(done: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if done() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never happened");
    }

    fn create(group_id: &str) -> CreateGroup {
        CreateGroup {
            group_id: group_id.into(),
            group_type: GroupType::StrictPrivate,
            user_id: "ann".into(),
            connection: open(),
        }
    }

    fn get_info(viewer_id: Option<&str>) -> GetGroupInfo {
        GetGroupInfo {
            group_id: "g".into(),
            viewer_id: viewer_id.map(str::to_owned),
        }
    }

    fn delete(actor_id: Option<&str>) -> DeleteGroup {
        DeleteGroup {
            group_id: "g".into(),
            actor_id: actor_id.map(str::to_owned),
        }
    }

    #[actix::test]
    async fn every_verb_is_a_message_on_the_same_table() {
        let (table, _clock, actor) = started();
        let group_id = || "g".to_owned();
        let pair = || (group_id(), "ann".to_owned(), "bob".to_owned());
        let send = |user_id: &str| SendMessage {
            group_id: group_id(),
            user_id: user_id.into(),
            message: 1.into(),
            request_id: "r".into(),
        };
        assert_eq!(actor.send(create("g")).await.unwrap(), Ok(()));
        let join = JoinGroup {
            group_id: group_id(),
            user_id: "bob".into(),
            connection: open(),
        };
        let joined = actor.send(join).await.unwrap();
        assert_eq!(joined, Ok(MemberStatus::Pending));
        let sent = actor.send(send("bob")).await.unwrap();
        assert_eq!(sent, Err(SendError::Pending));

        let (group_id, actor_id, user_id) = pair();
        let accept = AcceptMember {
            group_id,
            actor_id,
            user_id,
        };
        assert_eq!(actor.send(accept).await.unwrap(), Ok(()));
        let (group_id, actor_id, user_id) = pair();
        let mute = MuteMember {
            group_id,
            actor_id,
            user_id,
        };
        assert_eq!(actor.send(mute).await.unwrap(), Ok(()));
        let sent = actor.send(send("bob")).await.unwrap();
        assert_eq!(sent, Err(SendError::Muted));
        let (group_id, actor_id, user_id) = pair();
        let unmute = UnmuteMember {
            group_id,
            actor_id,
            user_id,
        };
        assert_eq!(actor.send(unmute).await.unwrap(), Ok(()));
        let sent = actor.send(send("bob")).await.unwrap().unwrap();
        assert_eq!((sent.recipients, sent.missed), (2, 0));
        let attach = AttachToGroup {
            group_id: "g".into(),
            user_id: "bob".into(),
            connection: open(),
        };
        let attached = actor.send(attach).await.unwrap();
        assert_eq!(attached, Ok(MemberStatus::Active));

        let info = actor.send(get_info(None)).await.unwrap();
        assert_eq!(info, table.info("g", None));
        let info = actor.send(get_info(Some("zoe"))).await.unwrap();
        assert_eq!(info, Err(RelayError::UserNotInGroup));
        let deleted = actor.send(delete(Some("bob"))).await.unwrap();
        assert_eq!(deleted, Err(RelayError::NotAdmin));
        let (group_id, _, user_id) = pair();
        let left = actor.send(LeaveGroup { group_id, user_id }).await.unwrap();
        assert_eq!(left, Ok(()));
        let deleted = actor.send(delete(None)).await.unwrap();
        assert_eq!(deleted, Ok(()));
        let swept = actor.send(SweepGroups).await.unwrap();
        assert_eq!((swept.removed, swept.remaining), (0, 0));
    }

    #[actix::test]
    async fn groups_that_stood_empty_are_forgotten_by_themselves() {
        let (table, clock, actor) = started();
        let CreateGroup { connection, .. } = create("unused");
        actor.send(create("kept")).await.unwrap().unwrap();
        let mut emptied = create("emptied");
        emptied.connection = connection.clone();
        actor.send(emptied).await.unwrap().unwrap();
        connection.end();
        // Sweeps come after 300, 600, 900 and 1 200 milliseconds.
        for _ in 0..3 {
            until(|| clock.sleepers() == 1).await;
            clock.advance(Duration::from_millis(300));
        }
        until(|| clock.sleepers() == 1).await;
        assert_eq!(table.count(), 2);
        clock.advance(Duration::from_millis(299));
        assert_eq!(table.count(), 2);
        clock.advance(Duration::from_millis(1));
        until(|| table.count() == 1).await;
        assert!(table.info("kept", None).is_ok());
    }

    #[actix::test]
    async fn the_death_of_the_actor_loses_no_member_and_stops_no_verb() {
        let (table, clock, actor) = started();
        let group = create("g");
        let connection = group.connection.clone();
        actor.send(group).await.unwrap().unwrap();
        until(|| clock.sleepers() == 1).await;
        assert!(actor.send(Crash).await.is_err());
        until(|| clock.sleepers() == 0).await;

        let sent = table.send("g", "ann", 1.into(), "r").await;
        assert_eq!(sent.map(|sent| sent.recipients), Ok(1));
        // The end of a connection is heard between two incarnations too.
        connection.end();
        let info = table.info("g", None).unwrap();
        assert!(info.members.is_empty());

        let _actor = Relay::new(Arc::clone(&table)).start();
        until(|| clock.sleepers() == 1).await;
        clock.advance(Duration::from_millis(1_000));
        until(|| table.count() == 0).await;
    }
}
