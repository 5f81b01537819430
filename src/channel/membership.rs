//! One client's channel, as its callbacks and the rest of the program hold it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use actix::WeakAddr;

use super::{
    Payload, Session,
    frame::{EncodeError, Kind, Ref, ReplyTo, Status, write_json_reply, write_push, write_reply},
    joined::{ChannelActor, End},
    members::Members,
    outbox::{Outbox, Packet, Refused},
    outlet::Pushes,
    reasons,
};
use crate::connection::Connection;

/// A push or a broadcast that no client could be sent, because of what it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frame cannot be written: {0}")]
pub struct InvalidPush(String);

impl From<EncodeError> for InvalidPush {
    fn from(error: EncodeError) -> Self {
        Self(error.to_string())
    }
}

/// One client's channel: cheap to clone, and usable from any thread, also after the channel has ended.
#[derive(Clone)]
pub struct Membership {
    pub(super) seat: Arc<Seat>,
    pub(super) members: Arc<Members>,
    pub(super) connection: Connection,
}

/// What is known of one client in one topic.
pub(crate) struct Seat {
    pub(crate) topic: Arc<str>,
    pub(crate) join_ref: Ref,
    pub(crate) session: Arc<Session>,
    pub(crate) outbox: Arc<Outbox>,
    pub(super) pushes: Pushes,
    /// Set once the actor has started.
    pub(super) actor: OnceLock<WeakAddr<ChannelActor>>,
}

impl Membership {
    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.seat.topic
    }

    /// The verified user and what else the connection brought along.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.seat.session
    }

    /// The channel as a connection: what requests over it carry, and what relay groups reach the client through.
    ///
    /// It ends with the channel, whatever ends that, and its relay memberships with it. What is pushed to it before the
    /// client has joined follows the reply to the join.
    ///
    /// ```
    /// use gen_api::{
    ///     channel::{Channel, Denied, Join},
    ///     relay::{GroupType, RelayError, RelayRef},
    /// };
    /// use serde_json::{Value, json};
    ///
    /// /// Has everybody who joins a room hear the relay group of its name.
    /// fn room(relay: RelayRef) -> Channel {
    ///     Channel::new().on_join(move |join| enter(relay.clone(), join))
    /// }
    ///
    /// async fn enter(relay: RelayRef, join: Join) -> Result<Value, Denied> {
    ///     let room = join.membership;
    ///     let user = room.session().user_id().ok_or("log in first")?;
    ///     let hears = || room.connection().clone();
    ///     let entered = match relay.create(room.topic(), GroupType::Public, user, hears()).await {
    ///         Err(RelayError::AlreadyExists) => relay.attach(room.topic(), user, hears()).await.map(drop),
    ///         created => created,
    ///     };
    ///     entered.map_err(|error| error.code())?;
    ///     Ok(json!({}))
    /// }
    /// ```
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends an event to this client; false where it is gone.
    ///
    /// It never waits. A client for which too much waits is closed.
    ///
    /// # Errors
    ///
    /// [`InvalidPush`]: topic or event is too long for a payload of bytes, or the client's version has none.
    pub fn push(&self, event: &str, payload: impl Into<Payload>) -> Result<bool, InvalidPush> {
        self.seat.push(event, &payload.into())
    }

    /// Sends an event to all members of the topic, this one included; how many took it.
    ///
    /// # Errors
    ///
    /// [`InvalidPush`]: topic or event is too long for a payload of bytes.
    pub fn broadcast(
        &self,
        event: &str,
        payload: impl Into<Payload>,
    ) -> Result<usize, InvalidPush> {
        self.members
            .broadcast(self.topic(), event, &payload.into(), None)
    }

    /// Sends an event to all other members of the topic; how many took it.
    ///
    /// # Errors
    ///
    /// [`InvalidPush`]: topic or event is too long for a payload of bytes.
    pub fn broadcast_from(
        &self,
        event: &str,
        payload: impl Into<Payload>,
    ) -> Result<usize, InvalidPush> {
        let but = Some(&self.seat);
        self.members
            .broadcast(self.topic(), event, &payload.into(), but)
    }

    /// Ends the channel: the client gets `phx_close` and does not join again by itself.
    pub fn close(&self) {
        if let Some(actor) = self.seat.actor.get().and_then(WeakAddr::upgrade) {
            actor.do_send(End::Closed);
        }
    }
}

impl Seat {
    /// What a reply to this reference answers.
    pub(super) fn reply_to<'a>(&'a self, reference: &'a Ref) -> ReplyTo<'a> {
        ReplyTo {
            version: self.outbox.version(),
            join_ref: &self.join_ref,
            reference,
            topic: &self.topic,
        }
    }

    /// Adds a reply; one that cannot be written becomes an error, for the client waits for an answer.
    pub(super) fn add_reply(
        &self,
        packet: &mut Packet,
        reference: &Ref,
        status: Status,
        response: &Payload,
    ) {
        let to = self.reply_to(reference);
        let written = self
            .outbox
            .can_take(response)
            .and_then(|()| packet.try_add(|out| write_reply(out, to, status, response)));
        if let Err(error) = written {
            // The client's choice of topic and ref can cause it, so it is told to the client rather than to the log.
            tracing::debug!(error = crate::log_text::printed(&error), topic = ?self.topic, "a reply could not be written");
            let response = reasons::reason(reasons::UNWRITABLE);
            packet.add(|out| {
                write_json_reply(out, to, Status::Error, &response).map(|()| Kind::Text)
            });
        }
    }

    pub(super) fn push(&self, event: &str, payload: &Payload) -> Result<bool, InvalidPush> {
        self.outbox.can_take(payload)?;
        let mut written = Ok(());
        let version = self.outbox.version();
        let join_ref = Some(&self.join_ref);
        let pushed = self.outbox.push(|packet| {
            written = packet
                .try_add(|out| write_push(out, version, join_ref, &self.topic, event, payload));
        });
        written?;
        Ok(pushed != Err(Refused::Gone) && pushed != Err(Refused::Full))
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seat.fmt(f)
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("topic", &self.topic)
            .field("user_id", &self.session.user_id())
            .finish_non_exhaustive()
    }
}
