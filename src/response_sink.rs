//! How the responses after the first one reach whoever asked, with exactly one terminal response among them.
//!
//! The promise holds whatever happens (specification, section 3): the terminal response needs no room, so a slow receiver cannot
//! make it wait, and a sink that is dropped without one, because its task was killed or its thread died, sends the
//! response for a lost call.
//!
//! Many chunks pass through here, so neither side is woken for each: see [`channel`] and [`mailbox`].

mod channel;
mod mailbox;

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix::{Message, Recipient};
use futures_core::Stream;

use self::{
    channel::{Reader, Writer},
    mailbox::Mailbox,
};
use crate::{
    clock::Clock,
    model::{Chunk, Response, StreamBuffer},
};

/// The later responses of an async or stream request, in order; the last one is terminal.
///
/// Dropping it tells a stream's producer that nobody listens any more.
#[must_use = "dropping it ends the stream"]
pub struct Responses {
    /// In a box, because every reply has the room for it and few have one.
    reader: Box<Reader>,
}

impl Responses {
    /// The next response; `None` after the terminal one. Nothing is lost when the future is dropped before it is done.
    pub async fn next(&mut self) -> Option<Response> {
        poll_fn(|cx| self.reader.poll(cx)).await
    }
}

impl Stream for Responses {
    type Item = Response;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Response>> {
        self.reader.poll(cx)
    }
}

impl fmt::Debug for Responses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responses").finish_non_exhaustive()
    }
}

/// A response can be sent to an actor: see [`Execute::deliver_to`](crate::Execute::deliver_to).
impl Message for Response {
    type Result = ();
}

/// The receiver of a [`ResponseSink`] is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReceiverGone;

/// The sending end; owned by the one task that answers the request.
pub(crate) struct ResponseSink {
    target: Target,
    request_id: Arc<str>,
    /// Makes the terminal response, should the sink be dropped without one; `None` once it was sent.
    lost: Option<LostResponse>,
}

enum Target {
    Channel(Writer),
    Mailbox(Box<Mailbox>),
}

/// Makes a terminal response from a request id.
pub(crate) type LostResponse = fn(String) -> Response;

impl ResponseSink {
    /// A sink into a channel with this room for responses, and for the terminal one. `lost` makes the response for a call
    /// that vanished.
    pub(crate) fn channel(
        buffer: StreamBuffer,
        request_id: Arc<str>,
        lost: LostResponse,
    ) -> (Self, Responses) {
        let (writer, reader) = channel::channel(buffer.places(), Arc::clone(&request_id));
        let sink = Self::new(Target::Channel(writer), request_id, lost);
        let reader = Box::new(reader);
        (sink, Responses { reader })
    }

    /// A sink into an actor's mailbox, where no more responses wait than there is room for, and the terminal one.
    pub(crate) fn recipient(
        recipient: Recipient<Response>,
        buffer: StreamBuffer,
        request_id: Arc<str>,
        lost: LostResponse,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mailbox = Box::new(Mailbox::new(recipient, buffer.places(), clock));
        Self::new(Target::Mailbox(mailbox), request_id, lost)
    }

    fn new(target: Target, request_id: Arc<str>, lost: LostResponse) -> Self {
        Self {
            target,
            request_id,
            lost: Some(lost),
        }
    }

    /// How many places are free, at least one; waits while the receiver is slow. A response may be sent while there is one,
    /// whatever it takes.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, ReceiverGone>> {
        match &mut self.target {
            Target::Channel(writer) => writer.poll_room(cx),
            Target::Mailbox(mailbox) => mailbox.poll_room(cx),
        }
    }

    /// Sends the chunks of a stream, for which there is [room](Self::poll_room).
    pub(crate) fn send_chunks(&mut self, chunks: &mut VecDeque<Chunk>) {
        match &mut self.target {
            Target::Channel(writer) => writer.send_chunks(chunks),
            Target::Mailbox(mailbox) => {
                for Chunk { value, places } in chunks.drain(..) {
                    let response = Response::stream_chunk(&*self.request_id, value);
                    mailbox.send(response, places);
                }
            }
        }
    }

    /// Sends a response that is not the last; waits while the receiver is slow.
    pub(crate) async fn send(&mut self, response: Response) -> Result<(), ReceiverGone> {
        poll_fn(|cx| self.poll_room(cx)).await?;
        self.push(response);
        Ok(())
    }

    /// Sends a response that is not the last, for which there is [room](Self::poll_room).
    pub(crate) fn push(&mut self, response: Response) {
        match &mut self.target {
            Target::Channel(writer) => writer.send(response),
            Target::Mailbox(mailbox) => mailbox.send(response, 1),
        }
    }

    /// From here on the loss of the sink means something else than before.
    pub(crate) fn on_loss(&mut self, lost: LostResponse) {
        if let Some(before) = &mut self.lost {
            *before = lost;
        }
    }

    /// Done once the receiver is gone.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.target {
            Target::Channel(writer) => writer.poll_gone(cx),
            Target::Mailbox(mailbox) => mailbox.poll_gone(cx),
        }
    }

    /// Done once the terminal response may follow what was sent. Only a mailbox makes it wait: until it has taken a
    /// response that would be withdrawn otherwise.
    pub(crate) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.target {
            Target::Channel(_) => Poll::Ready(()),
            Target::Mailbox(mailbox) => mailbox.poll_settled(cx),
        }
    }

    /// Sends the terminal response, once [settled](Self::poll_settled); what follows is lost.
    pub(crate) fn finish(&mut self, response: Response) {
        if self.lost.take().is_some() {
            self.send_terminal(response);
        }
    }

    /// Ends without a terminal response: the receiver is gone, or the request has none.
    pub(crate) fn abandon(&mut self) {
        self.lost = None;
    }

    fn send_terminal(&mut self, response: Response) {
        match &mut self.target {
            Target::Channel(writer) => writer.finish(response),
            Target::Mailbox(mailbox) => mailbox.finish(response),
        }
    }
}

impl Drop for ResponseSink {
    fn drop(&mut self) {
        if let Some(lost) = self.lost.take() {
            self.send_terminal(lost(String::from(&*self.request_id)));
        }
    }
}

impl fmt::Debug for ResponseSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseSink")
            .field("finished", &self.lost.is_none())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn one() -> StreamBuffer {
        StreamBuffer::new(1, 1_000)
    }

    fn lost(request_id: String) -> Response {
        Response::error(request_id, "lost")
    }

    #[tokio::test]
    async fn the_terminal_response_has_room_even_when_nobody_reads() {
        let (mut sink, mut responses) = ResponseSink::channel(one(), "r".into(), lost);
        sink.send(Response::stream_chunk("r", 1))
            .await
            .expect("there is room for one");
        assert!(
            sink.send(Response::stream_chunk("r", 2))
                .now_or_never()
                .is_none()
        );
        sink.finish(Response::stream_end("r"));
        assert_eq!(responses.next().await, Some(Response::stream_chunk("r", 1)));
        assert_eq!(responses.next().await, Some(Response::stream_end("r")));
        drop(sink);
        assert_eq!(responses.next().await, None);
    }

    #[tokio::test]
    async fn a_sink_that_vanishes_leaves_one_terminal_response() {
        let (sink, mut responses) = ResponseSink::channel(one(), "r".into(), lost);
        drop(sink);
        assert_eq!(responses.next().await, Some(Response::error("r", "lost")));
        assert_eq!(responses.next().await, None);
    }

    #[tokio::test]
    async fn an_abandoned_sink_leaves_no_response() {
        let (mut sink, mut responses) = ResponseSink::channel(one(), "r".into(), lost);
        sink.abandon();
        drop(sink);
        assert_eq!(responses.next().await, None);
    }

    #[tokio::test]
    async fn sending_to_a_receiver_that_is_gone_fails() {
        let (mut sink, responses) = ResponseSink::channel(one(), "r".into(), lost);
        drop(responses);
        poll_fn(|cx| sink.poll_gone(cx)).await;
        assert_eq!(
            sink.send(Response::stream_chunk("r", 1)).await,
            Err(ReceiverGone)
        );
    }
}
