//! What the embedder writes of a channel: its callbacks.

use std::{collections::HashMap, fmt, future::Future, sync::Arc};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Denied, Membership, Payload};

/// A kind of channel: what happens when a client joins one, leaves it, or sends an event.
///
/// Without callbacks everybody may join, and only requests are answered.
///
/// ```
/// use gen_api::channel::{Answer, Channel, Denied};
/// use serde_json::json;
///
/// let room = Channel::new()
///     .on_join(async |join| match join.membership.session().user_id() {
///         Some(user) => Ok(json!({"welcome": user})),
///         None => Err(Denied::reason("unauthorized")),
///     })
///     .on("shout", async |event| {
///         event.membership.broadcast("shout", event.payload);
///         Answer::ok(json!({}))
///     });
/// ```
///
/// Callbacks of one channel run one after another, in the order of the client's events; requests do not wait for them. A
/// callback that panics ends its channel only: the client gets `phx_error` and joins anew.
#[derive(Clone, Default)]
#[must_use = "it serves nobody until it is given to an endpoint"]
pub struct Channel {
    join: Option<Callback<Join, Result<Value, Denied>>>,
    leave: Option<Callback<Leave, ()>>,
    events: HashMap<String, Callback<Event, Answer>>,
    other: Option<Callback<Event, Answer>>,
    takes_no_requests: bool,
}

type Callback<A, R> = Arc<dyn Fn(A) -> BoxFuture<'static, R> + Send + Sync>;

fn boxed<A: Send + 'static, R, F, Fut>(callback: F) -> Callback<A, R>
where
    F: Fn(A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    Arc::new(move |argument| Box::pin(callback(argument)))
}

/// A client wants to join a channel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Join {
    /// What it sends along.
    pub payload: Payload,
    /// The channel to be. Pushes are sent from now on, broadcasts arrive once the client has joined.
    pub membership: Membership,
}

/// A client sends an event that is no request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Its name.
    pub name: String,
    /// What it carries.
    pub payload: Payload,
    /// The channel it came through.
    pub membership: Membership,
}

/// A channel of a client has ended. Its pushes go nowhere any more; broadcasts to the others still do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Leave {
    /// Why.
    pub reason: LeaveReason,
    /// The channel that was.
    pub membership: Membership,
}

/// Why a channel has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The client left it.
    Left,
    /// The client has joined the same topic once more.
    Replaced,
    /// [`Membership::close`] was called.
    Closed,
    /// The connection has ended.
    Disconnected,
    /// The endpoint stops.
    Shutdown,
}

/// What a client gets for its event.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// No reply.
    #[default]
    None,
    /// A reply that says `ok`.
    Ok(Payload),
    /// A reply that says `error`.
    Error(Payload),
}

impl Answer {
    /// No reply.
    #[must_use]
    pub fn none() -> Self {
        Self::None
    }

    /// A reply that says `ok`, with JSON or bytes.
    #[must_use]
    pub fn ok(response: impl Into<Payload>) -> Self {
        Self::Ok(response.into())
    }

    /// A reply that says `error`, with JSON or bytes.
    #[must_use]
    pub fn error(response: impl Into<Payload>) -> Self {
        Self::Error(response.into())
    }
}

impl Channel {
    /// One that everybody may join, for requests only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides who may join, and what the client gets with the yes or the no.
    pub fn on_join<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Join) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Denied>> + Send + 'static,
    {
        self.join = Some(boxed(callback));
        self
    }

    /// Called once after the end of every channel that was joined, unless it ended by a panic.
    pub fn on_leave<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Leave) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.leave = Some(boxed(callback));
        self
    }

    /// Answers an event; a second callback for the same one takes the place of the first. The event of requests is never
    /// seen here, unless [`without_requests`](Self::without_requests) is set.
    pub fn on<F, Fut>(mut self, event: impl Into<String>, callback: F) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        self.events.insert(event.into(), boxed(callback));
        self
    }

    /// Answers the events that have no callback of their own; without it they get the reason `unknown event`.
    pub fn on_other<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        self.other = Some(boxed(callback));
        self
    }

    /// Takes no requests: their event is one like any other.
    pub fn without_requests(mut self) -> Self {
        self.takes_no_requests = true;
        self
    }

    pub(crate) fn takes_requests(&self) -> bool {
        !self.takes_no_requests
    }

    pub(crate) fn join(&self, join: Join) -> BoxFuture<'static, Result<Value, Denied>> {
        match &self.join {
            Some(callback) => callback(join),
            None => Box::pin(async { Ok(json!({})) }),
        }
    }

    pub(crate) fn leave(&self, leave: Leave) -> Option<BoxFuture<'static, ()>> {
        self.leave.as_ref().map(|callback| callback(leave))
    }

    /// `None` for an event that nobody answers.
    pub(crate) fn event(&self, event: Event) -> Option<BoxFuture<'static, Answer>> {
        let callback = self.events.get(&event.name).or(self.other.as_ref())?;
        Some(callback(event))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("events", &self.events.keys())
            .field("takes_requests", &self.takes_requests())
            .finish_non_exhaustive()
    }
}
