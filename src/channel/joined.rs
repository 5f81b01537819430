//! The actor of one client's channel: it joins, answers the client's events, and ends with its callback for that.
//!
//! It runs on the thread of its socket. Whatever ends it, the socket hears of it; a panic in a callback ends this actor only.

mod report;

use std::{cell::Cell, collections::VecDeque, fmt, pin::Pin, sync::Arc, task, task::Poll};

use actix::{
    Actor, ActorContext, ActorFuture, ActorFutureExt, Addr, AsyncContext, Context, Handler,
    Message, Running, WrapFuture,
};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, LocalBoxFuture},
    stream::FuturesUnordered,
};
use serde_json::Value;
use tokio_util::sync::ReusableBoxFuture;

use self::report::{OwnConnection, Report};
use super::{
    Answer, Channel, Denied, Event, Join, Leave, LeaveReason, Membership, Payload,
    endpoint::Door,
    frame::{Ref, Status},
    members,
    membership::Seat,
    outbox::Packet,
    outlet::{AwaitedReply, ChannelOutlet},
    reasons,
    request::Sent,
    respond::{self, RequestTask},
    socket::{Ended, Permit, Socket},
};
use crate::{clock, connection::Connection};

/// One client's channel.
pub(crate) struct ChannelActor {
    door: Arc<Door>,
    kind: Arc<Channel>,
    seat: Arc<Seat>,
    report: Report,
    /// What functions push to and the relay knows the client by; ended with the channel.
    connection: OwnConnection,
    /// What it was asked to join with; taken at the start.
    joining: Option<JoinRequest>,
    /// Its entry among the members of the topic, while it is joined.
    entry: Option<members::Joined>,
    /// The requests under way and the streams that are open.
    requests: FuturesUnordered<ReusableBoxFuture<'static, ()>>,
    events: Events,
    is_ending: bool,
}

/// What a client joins with.
pub(super) struct JoinRequest {
    pub(super) reference: Ref,
    pub(super) payload: Sent,
}

/// One event of the client.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Take {
    pub(super) reference: Ref,
    /// Its name; `None` for a request.
    pub(super) event: Option<String>,
    pub(super) payload: Sent,
    /// Its share of what may be under way.
    pub(super) permit: Permit,
}

/// Ends the channel.
#[derive(Clone, Debug, PartialEq, Message)]
#[rtype(result = "()")]
pub(super) enum End {
    Left,
    Replaced,
    Closed,
    Disconnected,
}

impl ChannelActor {
    pub(super) fn new(
        door: Arc<Door>,
        kind: Arc<Channel>,
        seat: Arc<Seat>,
        request: JoinRequest,
        socket: Addr<Socket>,
        serial: u64,
    ) -> Self {
        let outlet = ChannelOutlet {
            door: Arc::clone(&door),
            seat: Arc::clone(&seat),
        };
        Self {
            report: Report {
                socket,
                serial,
                topic: Arc::clone(&seat.topic),
                ended: Ended::Crashed,
            },
            connection: OwnConnection(Connection::new(outlet)),
            door,
            kind,
            seat,
            joining: Some(request),
            entry: None,
            requests: FuturesUnordered::new(),
            events: Events::default(),
            is_ending: false,
        }
    }

    fn membership(&self) -> Membership {
        Membership {
            seat: Arc::clone(&self.seat),
            members: Arc::clone(&self.door.members),
            connection: self.connection.0.clone(),
        }
    }

    fn reply(&self, reference: &Ref, status: Status, response: &Payload) {
        let seat = &self.seat;
        let write = |packet: &mut Packet| seat.add_reply(packet, reference, status, response);
        seat.outbox.answer(write);
    }

    /// The join callback has answered, or has taken too long.
    fn answered(
        &mut self,
        reference: &Ref,
        answer: Option<Result<Value, Denied>>,
        ctx: &mut Context<Self>,
    ) {
        let denial = match answer {
            Some(Ok(response)) => {
                let (seat, response) = (Arc::clone(&self.seat), Payload::Json(response));
                let reply = || self.reply(reference, Status::Ok, &response);
                self.entry = Some(self.door.members.join(seat, reply));
                self.seat
                    .pushes
                    .replied(AwaitedReply::Join, &self.seat.outbox);
                return self.report.joined();
            }
            Some(Err(denied)) => denied.response().clone(),
            None => reasons::reason(reasons::JOIN_TIMEOUT),
        };
        self.reply(reference, Status::Error, &Payload::Json(denial));
        self.report.ended = Ended::Refused;
        self.is_ending = true;
        ctx.stop();
    }

    /// Begins an event of the embedder's own; `None` where it is answered already.
    fn begin(&self, take: Take, name: String) -> Option<LocalBoxFuture<'static, ()>> {
        let Take {
            reference,
            payload,
            permit,
            ..
        } = take;
        let refuse = |reason| {
            let response = Payload::Json(reasons::reason(reason));
            self.reply(&reference, Status::Error, &response);
        };
        let Some(payload) = payload.read() else {
            refuse(reasons::INVALID_PAYLOAD);
            return None;
        };
        let event = Event {
            name,
            payload,
            membership: self.membership(),
        };
        let Some(answer) = self.kind.event(event) else {
            refuse(reasons::UNKNOWN_EVENT);
            return None;
        };
        let seat = Arc::clone(&self.seat);
        Some(Box::pin(async move {
            let (status, response) = match answer.await {
                Answer::None => return drop(permit),
                Answer::Ok(response) => (Status::Ok, response),
                Answer::Error(response) => (Status::Error, response),
            };
            let reply = seat.outbox.send(|packet| {
                seat.add_reply(packet, &reference, status, &response);
            });
            // A client that is gone gets no reply.
            let _ = reply.await;
            drop(permit);
        }))
    }

    /// Lets requests and events go on.
    fn work(&mut self, cx: &mut task::Context<'_>) {
        while let Poll::Ready(Some(())) = self.requests.poll_next_unpin(cx) {}
        loop {
            if let Some(current) = &mut self.events.current {
                if current.poll_unpin(cx).is_pending() {
                    return;
                }
                self.events.current = None;
            }
            let Some((take, name)) = self.events.waiting.pop_front() else {
                return;
            };
            self.events.current = self.begin(take, name);
        }
    }

    /// Ends everything that goes on; what is left to be done, if anything.
    fn end(&mut self, reason: LeaveReason) -> Option<BoxFuture<'static, ()>> {
        self.is_ending = true;
        self.connection.0.end();
        self.requests.clear();
        self.events = Events::default();
        self.entry.take()?;
        self.kind.leave(Leave {
            reason,
            membership: self.membership(),
        })
    }

    /// Stops once the leave callback is done, or has taken too long.
    fn stop_after(&self, leave: BoxFuture<'static, ()>, ctx: &mut Context<Self>) {
        let (clock, limit) = (
            Arc::clone(&self.door.clock),
            self.door.settings.join_timeout(),
        );
        let leave = async move {
            if clock::within(&*clock, limit, leave).await.is_none() {
                tracing::warn!("a leave callback took too long");
            }
        };
        ctx.wait(leave.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

impl Actor for ChannelActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(JoinRequest { reference, payload }) = self.joining.take() else {
            return ctx.stop();
        };
        // It is set once: an actor of a channel is never started again.
        let _ = self.seat.actor.set(ctx.address().downgrade());
        ctx.spawn(Work);
        let Some(payload) = payload.read() else {
            let denied = Denied::reason(reasons::INVALID_PAYLOAD);
            return self.answered(&reference, Some(Err(denied)), ctx);
        };
        let join = self.kind.join(Join {
            payload,
            membership: self.membership(),
        });
        let (clock, limit) = (
            Arc::clone(&self.door.clock),
            self.door.settings.join_timeout(),
        );
        let join = async move { clock::within(&*clock, limit, join).await };
        ctx.wait(
            join.into_actor(self)
                .map(move |answer, this, ctx| this.answered(&reference, answer, ctx)),
        );
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        if self.is_ending {
            return Running::Stop;
        }
        match self.end(LeaveReason::Shutdown) {
            Some(leave) => {
                self.stop_after(leave, ctx);
                Running::Continue
            }
            None => Running::Stop,
        }
    }
}

impl Handler<Take> for ChannelActor {
    type Result = ();

    fn handle(&mut self, mut take: Take, _: &mut Context<Self>) {
        if self.is_ending {
            return;
        }
        match take.event.take() {
            Some(name) => self.events.waiting.push_back((take, name)),
            None => {
                let task = RequestTask {
                    door: Arc::clone(&self.door),
                    seat: Arc::clone(&self.seat),
                    connection: self.connection.0.clone(),
                    reference: take.reference,
                    payload: take.payload,
                    permit: take.permit,
                };
                let mut task = boxed(respond::run(task));
                // Most requests are answered at once; those that are not are polled again with the rest.
                let mut cx = task::Context::from_waker(task::Waker::noop());
                if task.poll(&mut cx).is_pending() {
                    self.requests.push(task);
                } else {
                    SPARE.set(Some(task));
                }
            }
        }
    }
}

thread_local! {
    /// The memory of the thread's last request that was answered at once, for the next one.
    static SPARE: Cell<Option<ReusableBoxFuture<'static, ()>>> = const { Cell::new(None) };
}

/// In a box, which may have held another one before: they are large, and most are gone at once.
fn boxed(request: impl Future<Output = ()> + Send + 'static) -> ReusableBoxFuture<'static, ()> {
    match SPARE.take() {
        Some(mut spare) => {
            spare.set(request);
            spare
        }
        None => ReusableBoxFuture::new(request),
    }
}

impl Handler<End> for ChannelActor {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Context<Self>) {
        if self.is_ending {
            return;
        }
        let (ended, reason) = match end {
            End::Left => (Ended::Left, LeaveReason::Left),
            End::Replaced => (Ended::Left, LeaveReason::Replaced),
            End::Closed => (Ended::Closed, LeaveReason::Closed),
            End::Disconnected => (Ended::Left, LeaveReason::Disconnected),
        };
        // Until the callback is done a panic is still one.
        match self.end(reason) {
            Some(leave) => self.stop_after(leave, ctx),
            None => ctx.stop(),
        }
        self.report.ended = ended;
    }
}

/// The embedder's events: one at a time, in the order of the client.
#[derive(Default)]
struct Events {
    current: Option<LocalBoxFuture<'static, ()>>,
    waiting: VecDeque<(Take, String)>,
}

/// Goes on for as long as the actor does.
struct Work;

impl ActorFuture<ChannelActor> for Work {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut ChannelActor,
        _: &mut Context<ChannelActor>,
        cx: &mut task::Context<'_>,
    ) -> Poll<()> {
        actor.work(cx);
        Poll::Pending
    }
}

impl Sent {
    /// The payload for a callback; `None` for JSON that is nested too deeply.
    fn read(&self) -> Option<Payload> {
        match self {
            Self::Json(bytes) => serde_json::from_slice(bytes).ok().map(Payload::Json),
            Self::Binary(bytes) => Some(Payload::Binary(bytes.clone())),
        }
    }
}

impl fmt::Debug for ChannelActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelActor")
            .field("seat", &self.seat)
            .field("under_way", &self.requests.len())
            .finish_non_exhaustive()
    }
}
