//! The actor of one connection: it reads the client's frames in order, keeps its channels, and minds the limits.
//!
//! While a channel is joined or left the next frames wait, so that a client's frames take effect in their order.

mod channels;
mod in_flight;
mod watch;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use actix::{
    Actor, ActorContext, ActorFuture, AsyncContext, Context, Handler, Message as ActixMessage,
    Running,
};
use actix_http::ws::CloseCode;
use bytes::Bytes;

pub(super) use self::in_flight::Permit;
use self::{
    channels::{Busy, Entry},
    in_flight::InFlight,
    watch::Watch,
};
use super::{
    Session,
    endpoint::Door,
    frame::{Frame, FrameError, Head, Kind, Ref, ReplyTo, Status, Version, write_json_reply},
    joined::End,
    outbox::Outbox,
    reasons,
    sockets::Listed,
    topic::PROTOCOL_TOPIC,
    websocket::{Message, ReadEnd, Reader},
};

/// One connection.
pub(crate) struct Socket {
    door: Arc<Door>,
    session: Arc<Session>,
    outbox: Arc<Outbox>,
    source: Source,
    watch: Watch,
    channels: HashMap<Arc<str>, Entry>,
    /// What the next frames wait for.
    busy: Option<Busy>,
    /// The channels so far.
    serial: u64,
    in_flight: Arc<InFlight>,
    _listed: Listed,
}

/// Where a client's frames come from.
pub(super) enum Source {
    WebSocket(Box<Reader>),
    /// What was posted and waits to be read.
    LongPoll(Waiting),
}

/// Frames that were posted and wait, and their bytes.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    frames: VecDeque<Message>,
    bytes: usize,
}

/// What the channels of a socket tell it.
#[derive(Clone, Debug, ActixMessage)]
#[rtype(result = "()")]
pub(super) enum Notice {
    /// The client has joined, and has its reply.
    Joined(u64),
    Ended {
        serial: u64,
        topic: Arc<str>,
        ended: Ended,
    },
}

/// How a channel has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The join was refused, and the client has its reply.
    Refused,
    /// As the socket had asked for.
    Left,
    /// The program has closed it.
    Closed,
    Crashed,
}

/// Frames of a client of the long-poll transport; none is a sign of life. Answers whether there was room.
#[derive(Debug, ActixMessage)]
#[rtype(result = "bool")]
pub(super) struct Posted(pub(super) Vec<Message>);

/// How many frames are taken in one go, before others on the thread have their turn.
const TURN: usize = 64;

impl Socket {
    pub(super) fn new(
        door: Arc<Door>,
        session: Arc<Session>,
        outbox: Arc<Outbox>,
        source: Source,
        listed: Listed,
    ) -> Self {
        Self {
            watch: Watch::new(&door),
            door,
            session,
            outbox,
            source,
            channels: HashMap::new(),
            busy: None,
            serial: 0,
            in_flight: Arc::default(),
            _listed: listed,
        }
    }

    fn version(&self) -> Version {
        self.outbox.version()
    }

    /// Goes on until nothing can be done at the moment; ready once the connection is over.
    fn drive(&mut self, ctx: &mut Context<Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        loop {
            let load = self.outbox.poll_load(cx);
            if load.is_gone {
                return Poll::Ready(());
            }
            self.watch.look(load, &self.outbox);
            if !load.is_open {
                self.end_channels();
                if self.poll_farewell(cx).is_ready() {
                    return Poll::Ready(());
                }
            } else if !load.crowded && self.read(ctx, cx).is_ready() {
                return Poll::Ready(());
            }
            // Closed in this turn: begin the farewell.
            if load.is_open && !self.outbox.poll_load(cx).is_open {
                continue;
            }
            if self.watch.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Takes the frames that are there; ready once there will be no more.
    fn read(&mut self, ctx: &mut Context<Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        for _ in 0..TURN {
            if self.busy.is_some() || self.watch.must_slow_down() {
                return Poll::Pending;
            }
            let message = match self.source.poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(message)) => message,
                Poll::Ready(Err(end)) => return self.unreadable(end),
            };
            self.watch.heard();
            match message {
                Message::Text(bytes) => self.take(Frame::text(self.version(), &bytes), &bytes, ctx),
                Message::Binary(bytes) => {
                    self.take(Frame::binary(self.version(), &bytes), &bytes, ctx);
                }
                Message::Ping(payload) => self.outbox.pong(&payload),
                Message::Pong => {}
                Message::Close(code) => {
                    // The client's own code: it decides whether it comes back.
                    let code = code.map_or(CloseCode::Normal, CloseCode::from);
                    self.outbox.close(code, "");
                    return Poll::Ready(());
                }
            }
            let load = self.outbox.poll_load(cx);
            if !load.is_open || load.crowded {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn unreadable(&self, end: ReadEnd) -> Poll<()> {
        match end {
            ReadEnd::Gone => return Poll::Ready(()),
            ReadEnd::TooLarge => self.outbox.close(CloseCode::Size, "message too large"),
            ReadEnd::Protocol(error) => {
                tracing::debug!(
                    error = crate::log_text::printed(&error),
                    "a client does not speak WebSocket"
                );
                self.outbox.close(CloseCode::Protocol, "protocol error");
            }
        }
        Poll::Pending
    }

    /// Waits until the client has closed too, or has had its time; what it still sends is not looked at.
    fn poll_farewell(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        if self.watch.farewell_is_over() {
            return Poll::Ready(());
        }
        let Source::WebSocket(reader) = &mut self.source else {
            return Poll::Ready(());
        };
        for _ in 0..TURN {
            match reader.poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Message::Close(_)) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what a frame asks for.
    fn take(
        &mut self,
        frame: Result<Frame<'_>, FrameError>,
        bytes: &Bytes,
        ctx: &mut Context<Self>,
    ) {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(
                    error = crate::log_text::printed(&error),
                    "a client sent a malformed frame"
                );
                return match error {
                    FrameError::NotUtf8 => self.outbox.close(CloseCode::Invalid, "not UTF-8"),
                    _ => self.outbox.close(CloseCode::Error, "malformed frame"),
                };
            }
        };
        match (&*frame.topic, &*frame.event) {
            (PROTOCOL_TOPIC, "heartbeat") => {
                self.reply_for_socket(&frame.reference, PROTOCOL_TOPIC, Status::Ok, None);
            }
            (_, "phx_join") => self.join(&frame, ctx),
            (_, "phx_leave") => self.leave(&frame),
            _ => self.hand_over(&frame, bytes),
        }
    }

    /// A reply that no channel gives.
    fn reply_for_socket(&self, reference: &Ref, topic: &str, status: Status, reason: Option<&str>) {
        self.reply(&Ref::Null, reference, topic, status, reason);
    }

    fn reply(
        &self,
        join_ref: &Ref,
        reference: &Ref,
        topic: &str,
        status: Status,
        reason: Option<&str>,
    ) {
        let to = ReplyTo {
            version: self.version(),
            join_ref,
            reference,
            topic,
        };
        let response = reason.map_or_else(|| serde_json::json!({}), reasons::reason);
        self.outbox.answer(|packet| {
            packet.add(|out| write_json_reply(out, to, status, &response).map(|()| Kind::Text));
        });
    }

    /// A frame about the life of a channel.
    fn tell(&self, join_ref: &Ref, topic: &str, event: &str, payload: &serde_json::Value) {
        let head = Head {
            version: self.version(),
            join_ref,
            reference: join_ref,
            topic,
            event,
        };
        self.outbox.answer(|packet| {
            packet.add(|out| head.write_json(out, payload).map(|()| Kind::Text));
        });
    }

    fn end_channels(&mut self) {
        if let Some(busy) = self.busy.take() {
            busy.end();
        }
        for (_, entry) in self.channels.drain() {
            entry.actor.do_send(End::Disconnected);
        }
    }
}

impl Actor for Socket {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        tracing::debug!(socket = self.session.socket_id(), "a client has connected");
        ctx.spawn(Drive);
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        // Without effect where the connection is closed already.
        self.outbox.close(CloseCode::Away, "shutdown");
        Running::Stop
    }
}

impl Handler<Notice> for Socket {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Context<Self>) {
        match notice {
            Notice::Joined(serial) => self.has_joined(serial),
            Notice::Ended {
                serial,
                topic,
                ended,
            } => self.has_ended(serial, &topic, ended, ctx),
        }
    }
}

impl Handler<Posted> for Socket {
    type Result = bool;

    fn handle(&mut self, Posted(messages): Posted, _: &mut Context<Self>) -> bool {
        self.watch.heard();
        match &mut self.source {
            Source::LongPoll(waiting) => waiting.add(messages, self.door.settings.incoming_bytes),
            Source::WebSocket(_) => false,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // An orderly end has closed before; a client that is left behind otherwise comes back.
        self.outbox.close(CloseCode::Error, "internal error");
        self.outbox.end();
        self.end_channels();
        tracing::debug!(socket = self.session.socket_id(), "a connection has ended");
    }
}

/// Goes on for as long as the connection does.
struct Drive;

impl ActorFuture<Socket> for Drive {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        socket: &mut Socket,
        ctx: &mut Context<Socket>,
        cx: &mut task::Context<'_>,
    ) -> Poll<()> {
        let driven = socket.drive(ctx, cx);
        if driven.is_ready() {
            ctx.stop();
        }
        driven
    }
}

impl Source {
    fn poll_next(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<Message, ReadEnd>> {
        match self {
            Self::WebSocket(reader) => reader.poll_next(cx),
            // A message to the actor wakes it.
            Self::LongPoll(waiting) => waiting
                .next()
                .map_or(Poll::Pending, |message| Poll::Ready(Ok(message))),
        }
    }
}

impl Waiting {
    /// How many frames may wait.
    const MOST: usize = 1_000;

    /// Takes all frames or none; where nothing waits they may have any number of bytes.
    fn add(&mut self, frames: Vec<Message>, most_bytes: usize) -> bool {
        let bytes: usize = frames.iter().map(Message::bytes).sum();
        let together = self.bytes.saturating_add(bytes);
        let has_room = self.frames.is_empty() || together <= most_bytes;
        let taken = has_room && self.frames.len() + frames.len() <= Self::MOST;
        if taken {
            self.bytes = together;
            self.frames.extend(frames);
        }
        taken
    }

    fn next(&mut self) -> Option<Message> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.bytes();
        Some(frame)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.session.socket_id())
            .field("channels", &self.channels.keys())
            .finish_non_exhaustive()
    }
}
