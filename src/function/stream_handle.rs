//! The stream between a function and whoever sends its chunks on: a bounded queue that knows its end.
//!
//! Own code on tokio's semaphore instead of tokio's channel, for two reasons. The end is exact: what tells that a stream
//! has ended and what accepts a chunk is one step, so nothing follows a terminal event, and the terminal event itself
//! never waits for room. And an idle stream is small: tokio's channel sets 32 places apart at once.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    mem,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::{Notify, Semaphore, TryAcquireError};

use super::{
    error::FunctionError,
    finite,
    outcome::{Outcome, no_json},
};
use crate::model::{Chunk, DEFAULT_BUFFER_BYTES, StreamBuffer};

/// Makes a stream with room for `capacity` unread results (at least one), and for a megabyte of them.
#[must_use]
pub fn stream_channel(capacity: usize) -> (StreamHandle, StreamEvents) {
    stream_within(StreamBuffer::new(capacity, DEFAULT_BUFFER_BYTES))
}

/// Makes a stream whose unread results take no more room than this.
pub(crate) fn stream_within(buffer: StreamBuffer) -> (StreamHandle, StreamEvents) {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    let shared = Arc::new(Shared {
        id: StreamId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
        buffer,
        room: Semaphore::new(buffer.places().min(Semaphore::MAX_PERMITS)),
        closed: Notify::new(),
        state: Mutex::new(State {
            queue: VecDeque::new(),
            consumer: None,
            producers: 1,
            open: true,
        }),
    });
    let handle = StreamHandle {
        shared: Arc::clone(&shared),
    };
    (handle, StreamEvents { shared })
}

/// The function's end of a stream: it sends results in order, then ends the stream.
///
/// A function takes it as a parameter (specification, section 7). Clones feed the same stream; the first terminal event of any of
/// them ends it, and every send after that fails at once. Sending waits while the receiver is slow, so memory stays
/// bounded: unread results take up a place each, and large ones several.
///
/// A function that returns `Ok` without a terminal event completes its stream, with what it returned as the last result. A clone
/// that it has given to a task keeps the stream open; when that is dropped without a terminal event, the stream ends with an
/// error.
///
/// ```
/// use gen_api::function::{StreamClosed, StreamHandle};
///
/// async fn count(to: u32, stream: StreamHandle) -> Result<(), StreamClosed> {
///     for number in 1..to {
///         stream.send_result(number).await?;
///     }
///     stream.send_last_result(to).await
/// }
/// ```
pub struct StreamHandle {
    shared: Arc<Shared>,
}

impl StreamHandle {
    /// Sends one result, waiting for room while the receiver is slow.
    ///
    /// Nothing is sent when the returned future is dropped before it is done. A result that has no JSON form fails the
    /// stream with an error that says so.
    ///
    /// # Errors
    /// [`StreamClosed`] when the stream has ended or nobody receives any more, also while this waits.
    pub async fn send_result(&self, result: impl Serialize) -> Result<(), StreamClosed> {
        let value = self.to_json(result)?;
        self.send_value(value).await
    }

    /// Sends one result that is JSON already, without a copy. Otherwise like [`send_result`](Self::send_result).
    ///
    /// # Errors
    /// [`StreamClosed`], as for `send_result`.
    pub async fn send_value(&self, value: Value) -> Result<(), StreamClosed> {
        let Chunk { value, places } = self.shared.buffer.chunk(value);
        // Nearly always there is room, and then asking costs a fraction of waiting; who waits still comes first.
        let room = match self.shared.room.try_acquire_many(places) {
            Ok(room) => room,
            // In a box, so that a send that need not wait moves no more than its value about.
            Err(TryAcquireError::NoPermits) => {
                let room = Box::pin(self.shared.room.acquire_many(places)).await;
                room.map_err(|_closed| StreamClosed)?
            }
            Err(TryAcquireError::Closed) => return Err(StreamClosed),
        };
        // The place is given back by the consumer, who makes it when it takes the event out.
        room.forget();
        self.shared.push(StreamEvent::Result(value), places)
    }

    /// Sends one result and ends the stream with it. Never waits: the last event needs no room.
    ///
    /// # Errors
    /// [`StreamClosed`] when the stream had ended before or nobody receives any more.
    pub async fn send_last_result(&self, result: impl Serialize) -> Result<(), StreamClosed> {
        let value = self.to_json(result)?;
        self.shared.end(StreamEvent::Last(value))
    }

    /// Ends the stream. Never waits.
    ///
    /// # Errors
    /// [`StreamClosed`] when the stream had ended before or nobody receives any more.
    pub async fn complete(&self) -> Result<(), StreamClosed> {
        self.shared.end(StreamEvent::Complete)
    }

    /// Ends the stream with an error. Never waits.
    ///
    /// # Errors
    /// [`StreamClosed`] when the stream had ended before or nobody receives any more.
    pub async fn fail(&self, error: impl Into<FunctionError>) -> Result<(), StreamClosed> {
        self.shared.end(StreamEvent::Failed(error.into()))
    }

    /// Whether nothing can be sent any more: the stream has ended, or nobody receives.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.room.is_closed()
    }

    /// Waits until nothing can be sent any more, so that a producer that waits for its own source can stop early.
    pub async fn closed(&self) {
        let mut closed = pin!(self.shared.closed.notified());
        // Listening first and looking second misses no closing in between.
        closed.as_mut().enable();
        if !self.is_closed() {
            closed.await;
        }
    }

    /// The stream's id: the same for every clone, and no producer by itself.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.shared.id
    }

    /// Ends the stream of a function that has returned without an error and has not ended it: with what it answered, if it did.
    ///
    /// A clone that the function has left somewhere keeps the stream open.
    pub(super) fn returned(self, outcome: Outcome) -> Outcome {
        let state = self.shared.state.lock();
        let is_last = state.producers == 1 && state.open;
        drop(state);
        // Nobody else can send any more; that the receiver is gone meanwhile is no fault.
        match outcome {
            Outcome::Unit if is_last => {
                let _ = self.shared.end(StreamEvent::Complete);
                Outcome::Unit
            }
            Outcome::Value(answer) if is_last => {
                let _ = self.shared.end(StreamEvent::Last(answer));
                Outcome::Unit
            }
            other => other,
        }
    }

    fn to_json(&self, result: impl Serialize) -> Result<Value, StreamClosed> {
        finite::to_json(&result).map_err(|error| {
            // Where the stream had ended before, there is nobody left to tell.
            let _ = self.shared.end(StreamEvent::Failed(no_json(&error)));
            StreamClosed
        })
    }
}

impl Clone for StreamHandle {
    fn clone(&self) -> Self {
        self.shared.state.lock().producers += 1;
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.producers -= 1;
        let consumer = if state.producers == 0 {
            state.consumer.take()
        } else {
            None
        };
        drop(state);
        if let Some(consumer) = consumer {
            consumer.wake();
        }
    }
}

impl fmt::Debug for StreamHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamHandle")
            .field("id", &self.id())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// What tells one stream from every other in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(u64);

/// Nothing can be sent any more: the stream has ended, was stopped, or its receiver is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the stream is closed")]
pub struct StreamClosed;

/// The engine's end of a stream: takes the events out in order.
///
/// Dropping it closes the stream and throws away what is unread.
pub struct StreamEvents {
    shared: Arc<Shared>,
}

impl StreamEvents {
    /// The next event, once there is one. Nothing is lost when the future is dropped before it is done.
    ///
    /// Results come in the order of their sending, then one terminal event; after it, and after
    /// [`close`](Self::close) once the queue is empty, it is [`Vanished`](StreamEvent::Vanished).
    pub async fn next(&mut self) -> StreamEvent {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for the next event; the waker of the latest call is woken when there is one.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<StreamEvent> {
        let mut state = self.shared.state.lock();
        if let Some((event, places)) = state.queue.pop_front() {
            drop(state);
            self.shared.room.add_permits(places as usize);
            return Poll::Ready(event);
        }
        state.poll_end(cx)
    }

    /// How much room there is for unread results.
    pub(crate) fn buffer(&self) -> StreamBuffer {
        self.shared.buffer
    }

    /// Polls for results, all that are there until they take `room` places; `None` where some came, else the terminal
    /// event.
    ///
    /// The waker of the latest call is woken when there is something.
    pub(crate) fn poll_results(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        results: &mut VecDeque<Chunk>,
    ) -> Poll<Option<StreamEvent>> {
        let mut state = self.shared.state.lock();
        let mut taken = 0;
        while taken < room
            && let Some((event, places)) = state.queue.pop_front()
        {
            match event {
                StreamEvent::Result(value) => {
                    results.push_back(Chunk { value, places });
                    taken += places as usize;
                }
                end if taken == 0 => return Poll::Ready(Some(end)),
                end => {
                    // Its turn comes with the next call.
                    state.queue.push_front((end, places));
                    break;
                }
            }
        }
        if taken > 0 {
            drop(state);
            self.shared.room.add_permits(taken);
            return Poll::Ready(None);
        }
        state.poll_end(cx).map(Some)
    }

    /// Closes the stream from this end: every send fails from now on, also those that wait. What is queued can still
    /// be taken out.
    pub fn close(&mut self) {
        self.shared.close();
    }

    /// What closes the stream from somewhere else.
    pub(crate) fn closer(&self) -> StreamCloser {
        StreamCloser {
            shared: Arc::clone(&self.shared),
        }
    }

    /// The stream's id, the one that its handles show.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.shared.id
    }
}

impl Drop for StreamEvents {
    fn drop(&mut self) {
        self.shared.close();
        let mut state = self.shared.state.lock();
        let unread = mem::take(&mut state.queue);
        drop(state);
        // The handles may live on for long; what nobody will read does not.
        drop(unread);
    }
}

impl fmt::Debug for StreamEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamEvents")
            .field("id", &self.id())
            .field("unread", &self.shared.state.lock().queue.len())
            .finish_non_exhaustive()
    }
}

/// Closes a stream as [`StreamEvents::close`] does, without reading it.
pub(crate) struct StreamCloser {
    shared: Arc<Shared>,
}

impl StreamCloser {
    pub(crate) fn close(&self) {
        self.shared.close();
    }
}

/// What comes out of a stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// A result; more may follow.
    Result(Value),
    /// The last result: the stream ends with it.
    Last(Value),
    /// The stream ends.
    Complete,
    /// The stream ends with an error.
    Failed(FunctionError),
    /// Every handle was dropped without a terminal event, or the stream was read past its end.
    Vanished,
}

impl StreamEvent {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Result(_))
    }
}

struct Shared {
    id: StreamId,
    buffer: StreamBuffer,
    /// One permit for each free place; closed once nothing can be sent any more.
    room: Semaphore,
    /// Tells those in [`StreamHandle::closed`] that `room` was closed.
    closed: Notify,
    state: Mutex<State>,
}

struct State {
    /// With the places that each takes up; a terminal event takes none.
    queue: VecDeque<(StreamEvent, u32)>,
    /// Who waits for an event.
    consumer: Option<Waker>,
    /// How many handles there are.
    producers: usize,
    /// Cleared by the terminal event or by the consumer, whoever is first.
    open: bool,
}

impl State {
    /// Whether an empty queue stays empty; if not, the consumer waits.
    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<StreamEvent> {
        if !self.open || self.producers == 0 {
            return Poll::Ready(StreamEvent::Vanished);
        }
        match &mut self.consumer {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Shared {
    fn end(&self, event: StreamEvent) -> Result<(), StreamClosed> {
        self.push(event, 0)
    }

    fn push(&self, event: StreamEvent, places: u32) -> Result<(), StreamClosed> {
        let terminal = event.is_terminal();
        let mut state = self.state.lock();
        if !state.open {
            return Err(StreamClosed);
        }
        state.queue.push_back((event, places));
        state.open = !terminal;
        let consumer = state.consumer.take();
        drop(state);
        if let Some(consumer) = consumer {
            consumer.wake();
        }
        if terminal {
            self.refuse();
        }
        Ok(())
    }

    fn close(&self) {
        self.state.lock().open = false;
        self.refuse();
    }

    /// Fails the sends that wait, and wakes those who wait for the end.
    fn refuse(&self) {
        self.room.close();
        self.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
