//! What waits to be sent to one client: bounded, and shared by all who have something to say to it.
//!
//! A response waits for room, so a stream's producer is slowed down by a slow client. A push cannot wait: it may use as
//! much room again, and a client for which that does not do is closed. So nothing is lost without the client's knowing, and
//! memory stays bounded.

mod packet;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fmt,
    pin::pin,
    task::{Context, Poll, Waker},
};

use actix_http::ws::{CloseCode, OpCode};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use self::packet::Packet;
use super::{
    frame::{EncodeError, Kind, Payload, Version},
    websocket::{whole_frames, write_close, write_frame},
};

/// How much is handed over at a time, so that what is closed early has little under way.
const CHUNK: usize = 32_768;

/// The messages for one client.
pub(crate) struct Outbox {
    version: Version,
    /// What responses may fill, in bytes.
    limit: usize,
    state: Mutex<State>,
    room: Notify,
}

struct State {
    queue: Queue,
    phase: Phase,
    /// More waits than responses may fill, or a response waits for room.
    crowded: bool,
    /// It was not so at some moment since the owner last looked.
    eased: bool,
    /// How often something was taken out.
    taken: u64,
    /// Who sends what is here.
    sender: Option<Waker>,
    /// The socket's actor.
    owner: Option<Waker>,
}

enum Queue {
    /// Frames as they go to the network.
    WebSocket(BytesMut),
    /// Texts for the next poll.
    LongPoll(Texts),
}

#[derive(Default)]
struct Texts {
    waiting: VecDeque<String>,
    bytes: usize,
    /// The number of the latest poll. Only that one is given texts: whoever polls anew does not read the answer to the one
    /// before.
    poll: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Said to the client that it ends; nothing more is taken in.
    Closing(u16),
    /// Nothing follows what is in the queue.
    Ended(u16),
    /// The connection is gone.
    Gone,
}

/// The client is gone, or going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// Why a poll gets no texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PollEnd {
    #[error("the client has polled anew")]
    Followed,
    #[error("the connection is over")]
    Closed,
}

/// Why a push was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Gone,
    /// Too much waits for the client; it is closed for that.
    Full,
}

/// How a client takes what is sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) crowded: bool,
    pub(crate) taken: u64,
    pub(crate) is_open: bool,
    pub(crate) is_gone: bool,
}

impl Outbox {
    pub(crate) fn websocket(version: Version, limit: usize) -> Self {
        Self::new(version, limit, Queue::WebSocket(BytesMut::new()))
    }

    pub(crate) fn long_poll(version: Version, limit: usize) -> Self {
        Self::new(version, limit, Queue::LongPoll(Texts::default()))
    }

    fn new(version: Version, limit: usize, queue: Queue) -> Self {
        Self {
            version,
            limit,
            state: Mutex::new(State {
                queue,
                phase: Phase::Open,
                crowded: false,
                eased: true,
                taken: 0,
                sender: None,
                owner: None,
            }),
            room: Notify::new(),
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// What responses may fill, in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether the transport has frames for such a payload.
    pub(crate) fn can_take(&self, payload: &Payload) -> Result<(), EncodeError> {
        match payload {
            Payload::Binary(_) if matches!(self.state.lock().queue, Queue::LongPoll(..)) => {
                Err(EncodeError::BinaryInLongPoll)
            }
            _ => Ok(()),
        }
    }

    /// Sends what `write` writes, all of it or nothing, once there is room.
    pub(crate) async fn send(&self, write: impl FnOnce(&mut Packet)) -> Result<(), Gone> {
        let waiting = Packet::scratch(|packet| {
            write(packet);
            let taken = self.offer(packet, self.limit)?;
            Ok((!taken).then(|| std::mem::take(packet)))
        })?;
        let Some(packet) = waiting else {
            return Ok(());
        };
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            if self.offer(&packet, self.limit)? {
                return Ok(());
            }
            room.await;
        }
    }

    /// Sends what cannot wait.
    pub(crate) fn push(&self, write: impl FnOnce(&mut Packet)) -> Result<(), Refused> {
        Packet::scratch(|packet| {
            write(packet);
            self.push_packet(packet)
        })
    }

    /// The same for what is written already.
    pub(crate) fn push_packet(&self, packet: &Packet) -> Result<(), Refused> {
        match self.offer(packet, self.limit.saturating_mul(2)) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.close_slow();
                Err(Refused::Full)
            }
            Err(Gone) => Err(Refused::Gone),
        }
    }

    /// Sends what answers the client itself: it is read no further while much waits for it, so this is bounded.
    pub(crate) fn answer(&self, write: impl FnOnce(&mut Packet)) {
        Packet::scratch(|packet| {
            write(packet);
            // A client that is gone waits for no answer.
            let _ = self.offer(packet, usize::MAX);
        });
    }

    pub(crate) fn pong(&self, payload: &[u8]) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open
            && let Queue::WebSocket(buffer) = &mut state.queue
        {
            write_frame(buffer, OpCode::Pong, payload);
            state.changed(self.limit);
        }
    }

    /// Ends the connection once all that waits is sent.
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        self.state.lock().close(code, reason);
        self.room.notify_waiters();
    }

    /// Ends the connection of a client that does not take what is sent to it.
    pub(crate) fn close_slow(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            tracing::debug!(waiting = state.queue.bytes(), "a slow client is closed");
            state.queue.clear();
            state.close(CloseCode::Again, "too slow");
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Nothing more follows, not even from the client: the connection can go.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.phase = match state.phase {
            Phase::Open => Phase::Ended(CloseCode::Abnormal.into()),
            Phase::Closing(code) => Phase::Ended(code),
            ended => ended,
        };
        state.wake_sender();
    }

    /// The connection is gone, and with it what waited.
    pub(crate) fn connection_gone(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Gone;
        state.queue.clear();
        state.wake_owner();
        drop(state);
        self.room.notify_waiters();
    }

    /// How things stand; the owner is woken when that changes.
    pub(crate) fn poll_load(&self, cx: &Context<'_>) -> Load {
        let mut state = self.state.lock();
        match &mut state.owner {
            Some(owner) => owner.clone_from(cx.waker()),
            owner => *owner = Some(cx.waker().clone()),
        }
        Load {
            crowded: state.crowded,
            taken: state.taken,
            is_open: state.phase == Phase::Open,
            is_gone: state.phase == Phase::Gone,
        }
    }

    /// Whether it was not crowded at some moment since this was last asked.
    pub(crate) fn has_eased(&self) -> bool {
        let mut state = self.state.lock();
        let now = !state.crowded;
        std::mem::replace(&mut state.eased, now)
    }

    /// The next frames for the network; `None` once there will be no more.
    pub(crate) fn poll_frames(&self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.state.lock();
        let frames = match &mut state.queue {
            Queue::WebSocket(buffer) if buffer.len() <= CHUNK => std::mem::take(buffer),
            Queue::WebSocket(buffer) => buffer.split_to(whole_frames(buffer, CHUNK)),
            Queue::LongPoll(..) => BytesMut::new(),
        };
        if !frames.is_empty() {
            self.have_taken(state);
            return Poll::Ready(Some(frames.freeze()));
        }
        state.poll_end(cx).map(|_| None)
    }

    /// The number of a poll that begins; the one before it is over.
    pub(crate) fn begin_poll(&self) -> u64 {
        let mut state = self.state.lock();
        state.wake_sender();
        match &mut state.queue {
            Queue::LongPoll(texts) => {
                texts.poll += 1;
                texts.poll
            }
            Queue::WebSocket(_) => 0,
        }
    }

    /// Has a poll look at the texts once there are any; they stay until they are [taken](Self::take_texts).
    pub(crate) fn poll_texts<T>(
        &self,
        poll: u64,
        look: impl FnOnce(&VecDeque<String>) -> T,
        cx: &Context<'_>,
    ) -> Poll<Result<T, PollEnd>> {
        let mut state = self.state.lock();
        if let Queue::LongPoll(texts) = &state.queue {
            if texts.poll != poll {
                return Poll::Ready(Err(PollEnd::Followed));
            }
            if !texts.waiting.is_empty() {
                return Poll::Ready(Ok(look(&texts.waiting)));
            }
        }
        state.poll_end(cx).map(|_| Err(PollEnd::Closed))
    }

    /// Takes out the first texts, which the client has as good as received; not where it has polled anew meanwhile.
    pub(crate) fn take_texts(&self, poll: u64, count: usize) -> Result<(), PollEnd> {
        let mut state = self.state.lock();
        if let Queue::LongPoll(texts) = &mut state.queue {
            if texts.poll != poll {
                return Err(PollEnd::Followed);
            }
            let count = count.min(texts.waiting.len());
            let taken: usize = texts.waiting.drain(..count).map(|text| text.len()).sum();
            texts.bytes -= taken;
        }
        self.have_taken(state);
        Ok(())
    }

    fn have_taken(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        state.taken += 1;
        if state.crowded && state.queue.bytes() <= self.limit / 2 {
            state.crowded = false;
            state.eased = true;
            state.wake_owner();
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Takes a packet in where that leaves no more than `limit` waiting; an empty queue takes any.
    fn offer(&self, packet: &Packet, limit: usize) -> Result<bool, Gone> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err(Gone);
        }
        let waiting = state.queue.bytes();
        if waiting > 0 && waiting.saturating_add(packet.bytes.len()) > limit {
            state.crowd();
            return Ok(false);
        }
        for (kind, bytes) in packet.frames() {
            state.queue.add(kind, bytes);
        }
        state.changed(self.limit);
        Ok(true)
    }
}

impl State {
    fn changed(&mut self, limit: usize) {
        if self.queue.bytes() > limit {
            self.crowd();
        }
        self.wake_sender();
    }

    fn crowd(&mut self) {
        if !std::mem::replace(&mut self.crowded, true) {
            self.wake_owner();
        }
    }

    fn close(&mut self, code: CloseCode, reason: &str) {
        if self.phase != Phase::Open {
            return;
        }
        self.phase = Phase::Closing(code.into());
        if let Queue::WebSocket(buffer) = &mut self.queue {
            write_close(buffer, code, reason);
        }
        self.wake_sender();
        self.wake_owner();
    }

    /// Done once nothing follows.
    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<u16> {
        match (self.phase, &self.queue) {
            (Phase::Ended(code), _) | (Phase::Closing(code), Queue::LongPoll(..)) => {
                Poll::Ready(code)
            }
            (Phase::Gone, _) => Poll::Ready(CloseCode::Abnormal.into()),
            _ => {
                match &mut self.sender {
                    Some(sender) => sender.clone_from(cx.waker()),
                    sender => *sender = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    fn wake_sender(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    fn wake_owner(&self) {
        if let Some(owner) = &self.owner {
            owner.wake_by_ref();
        }
    }
}

impl Queue {
    fn bytes(&self) -> usize {
        match self {
            Self::WebSocket(buffer) => buffer.len(),
            Self::LongPoll(texts) => texts.bytes,
        }
    }

    fn clear(&mut self) {
        match self {
            Self::WebSocket(buffer) => *buffer = BytesMut::new(),
            Self::LongPoll(texts) => {
                texts.waiting.clear();
                texts.bytes = 0;
            }
        }
    }

    fn add(&mut self, kind: Kind, frame: &[u8]) {
        match (self, kind) {
            (Self::WebSocket(buffer), Kind::Text) => write_frame(buffer, OpCode::Text, frame),
            (Self::WebSocket(buffer), Kind::Binary) => write_frame(buffer, OpCode::Binary, frame),
            (Self::LongPoll(texts), Kind::Text) => {
                // What was written as JSON is a text.
                if let Ok(text) = std::str::from_utf8(frame) {
                    texts.bytes += text.len();
                    texts.waiting.push_back(text.to_owned());
                }
            }
            // Nobody writes such a frame: see `can_take`.
            (Self::LongPoll(..), Kind::Binary) => {}
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Outbox")
            .field("phase", &state.phase)
            .field("waiting_bytes", &state.queue.bytes())
            .finish()
    }
}
