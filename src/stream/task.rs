//! One stream from its beginning to its end: it runs the function, hands its chunks on in order, and ends in exactly one
//! way.
//!
//! A state machine written by hand: there is one for each open stream, most of which wait, so its size counts; and chunks
//! are handed on by as many as are ready and there is room for.

use std::{
    collections::VecDeque,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    live::{Stop, StopReason},
    source::{Begin, Source, SourceEnd},
    watch::StreamWatch,
};
use crate::{
    call::local::CallError,
    clock::Sleep,
    function::StreamEvents,
    lifecycle::Held,
    model::{Chunk, Response},
    request_error::RequestError,
    respond,
    response_sink::ResponseSink,
    telemetry::StreamEnd,
    worker_pool::{Place, TaskEnd, Ticket},
};

/// After so many chunks the other tasks of the thread have their turn.
const CHUNKS_A_TURN: usize = 512;

/// What a stream is made of.
pub(crate) struct StreamParts {
    /// Calls the function.
    pub(crate) begin: Begin,
    /// What the function's stream handle sends.
    pub(crate) events: StreamEvents,
    pub(crate) sink: ResponseSink,
    /// Sent before everything else, where the receiver does not get it in another way.
    pub(crate) acknowledgement: Option<Response>,
    pub(crate) watch: StreamWatch,
    /// Its place among the open streams, which it holds until it ends.
    pub(crate) ticket: Ticket,
    /// Its share of what the engine waits for when it stops; given up last.
    pub(crate) place: Option<Held>,
    pub(crate) detail_error: bool,
}

/// The task of one stream.
pub(crate) struct StreamTask {
    source: Source,
    sink: ResponseSink,
    watch: StreamWatch,
    phase: Phase,
    /// On their way from the source to the sink; empty between two polls.
    chunks: VecDeque<Chunk>,
    /// Armed when the stream gets its place: its timeout bounds it as a whole.
    expiry: Option<Sleep>,
    detail_error: bool,
    /// A chunk was handed on.
    begun: bool,
    /// The last field, so that its drop comes after that of the sink.
    _place: Option<Held>,
}

enum Phase {
    New(Box<Beginning>),
    /// For a place in the pool.
    Waiting(BoxFuture<'static, Place>),
    Open(Place),
    /// The stream has ended, which its receiver has yet to learn.
    Ended(Box<Response>),
    Done,
}

/// What is needed only once.
struct Beginning {
    acknowledgement: Option<Response>,
    ticket: Ticket,
}

/// How a stream ended.
enum End {
    Source(SourceEnd),
    /// Somebody stopped it from outside.
    Stopped,
    /// The engine did not wait any longer.
    Cut,
    TimedOut(RequestError),
    ReceiverGone,
}

impl StreamTask {
    pub(crate) fn new(parts: StreamParts) -> Self {
        Self {
            source: Source::new(parts.begin, parts.events),
            sink: parts.sink,
            watch: parts.watch,
            phase: Phase::New(Box::new(Beginning {
                acknowledgement: parts.acknowledgement,
                ticket: parts.ticket,
            })),
            chunks: VecDeque::new(),
            expiry: None,
            detail_error: parts.detail_error,
            begun: false,
            _place: parts.place,
        }
    }

    pub(super) fn stop_signal(&self) -> &Arc<Stop> {
        self.watch.stop_signal()
    }

    fn begin(&mut self, beginning: Beginning) {
        self.sink.on_loss(respond::lost);
        self.watch.open();
        if let Some(acknowledgement) = beginning.acknowledgement {
            // The first of all responses finds room.
            self.sink.push(acknowledgement);
        }
        match beginning.ticket.try_place() {
            Ok(place) => self.open(place),
            Err(ticket) => self.phase = Phase::Waiting(ticket.place().boxed()),
        }
    }

    fn open(&mut self, place: Place) {
        self.phase = Phase::Open(place);
        self.expiry = self
            .watch
            .timeout()
            .map(|timeout| self.watch.clock().sleep(timeout));
    }

    /// Waits for the end of the open stream, and hands on its chunks meanwhile.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.sink.poll_gone(cx).is_ready() {
            return Poll::Ready(End::ReceiverGone);
        }
        if let (Some(expiry), Some(timeout)) = (&mut self.expiry, self.watch.timeout())
            && expiry.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(End::TimedOut(CallError::TimedOut(timeout).into()));
        }
        let unfinished = |next: &Poll<End>| {
            matches!(
                next,
                Poll::Pending | Poll::Ready(End::Source(SourceEnd::BrokenOff(_)))
            )
        };
        let mut next = self.forward(cx);
        if unfinished(&next)
            && let Some(reason) = self.stop_signal().asked()
        {
            // What was sent before the stop goes out before the end, as far as the receiver has room.
            if next.is_pending() {
                next = self.forward(cx);
            }
            if unfinished(&next) {
                next = Poll::Ready(End::asked(reason));
            }
        }
        next
    }

    /// Hands on what is ready and there is room for.
    fn forward(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut handed_on = 0;
        while handed_on < CHUNKS_A_TURN {
            self.source.advance(self.begun, cx);
            let Ok(room) = ready!(self.sink.poll_room(cx)) else {
                return Poll::Ready(End::ReceiverGone);
            };
            let polled = self.source.poll_chunks(room, &mut self.chunks, cx);
            let count = self.chunks.len();
            if count > 0 {
                self.begun = true;
                if let Phase::Open(place) = &mut self.phase {
                    place.works();
                }
                self.sink.send_chunks(&mut self.chunks);
                self.watch.chunks(count);
                handed_on += count;
            }
            if let Some(end) = ready!(polled) {
                return Poll::Ready(End::Source(end));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The producer and the registry learn of the end before the receiver does, so that nothing follows it.
    fn end(&mut self, end: End) {
        self.source.close();
        self.expiry = None;
        self.watch.close(end.kind());
        if let Phase::Open(place) = mem::replace(&mut self.phase, Phase::Done) {
            place.finish(match &end {
                End::Cut => TaskEnd::Cancelled,
                end => end
                    .error()
                    .map_or(TaskEnd::Completed, RequestError::task_end),
            });
        }
        let request_id = self.watch.request_id();
        let response = match end {
            End::ReceiverGone => return self.sink.abandon(),
            End::Source(SourceEnd::Complete) | End::Stopped => Response::stream_end(request_id),
            End::Cut => respond::unavailable(request_id.to_owned()),
            End::Source(SourceEnd::Last(value)) => Response::last_stream_chunk(request_id, value),
            End::Source(SourceEnd::Failed(error) | SourceEnd::BrokenOff(error))
            | End::TimedOut(error) => {
                self.watch.failed(&error);
                respond::failure(request_id.to_owned(), &error, self.detail_error)
            }
        };
        self.phase = Phase::Ended(Box::new(response));
    }

    /// Sends the terminal response, where there is one.
    fn finish(&mut self) {
        if let Phase::Ended(response) = mem::replace(&mut self.phase, Phase::Done) {
            self.sink.finish(*response);
        }
    }
}

impl Future for StreamTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.stop_signal().tell(cx.waker());
        loop {
            match &mut this.phase {
                Phase::New(_) => {
                    if let Phase::New(beginning) = mem::replace(&mut this.phase, Phase::Done) {
                        this.begin(*beginning);
                    }
                }
                Phase::Waiting(place) => match place.poll_unpin(cx) {
                    Poll::Ready(place) => this.open(place),
                    Poll::Pending if this.sink.poll_gone(cx).is_ready() => {
                        this.end(End::ReceiverGone);
                    }
                    Poll::Pending => match this.stop_signal().asked() {
                        Some(reason) => this.end(End::asked(reason)),
                        None => return Poll::Pending,
                    },
                },
                Phase::Open(_) => {
                    let end = ready!(this.poll_end(cx));
                    this.end(end);
                }
                Phase::Ended(_) => {
                    ready!(this.sink.poll_settled(cx));
                    this.finish();
                }
                Phase::Done => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for StreamTask {
    /// Killed while a mailbox was slow to take what came before, it still ends as it has ended.
    fn drop(&mut self) {
        self.finish();
    }
}

impl End {
    fn asked(reason: StopReason) -> Self {
        match reason {
            StopReason::Request => Self::Stopped,
            StopReason::Shutdown => Self::Cut,
        }
    }

    fn kind(&self) -> StreamEnd {
        match self {
            Self::Source(SourceEnd::Complete | SourceEnd::Last(_)) => StreamEnd::Complete,
            Self::Source(SourceEnd::Failed(_) | SourceEnd::BrokenOff(_)) | Self::TimedOut(_) => {
                StreamEnd::Failed
            }
            Self::Stopped | Self::Cut => StreamEnd::Stopped,
            Self::ReceiverGone => StreamEnd::ReceiverGone,
        }
    }

    fn error(&self) -> Option<&RequestError> {
        match self {
            Self::Source(SourceEnd::Failed(error) | SourceEnd::BrokenOff(error))
            | Self::TimedOut(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With its actor, its queues and its entry in the list, a stream that waits takes no more than 2 KiB.
    #[test]
    fn the_task_of_a_stream_is_small() {
        assert!(
            size_of::<StreamTask>() <= 384,
            "{}",
            size_of::<StreamTask>()
        );
    }
}
